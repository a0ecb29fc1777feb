"""What a reader of a row must know of how its module behaved: NaN, Inf, and state that it changed itself."""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.parameter import is_lazy

from ctxbench.measure.worker.call import MeasuredCall

MAX_NAMES = 3
"""Names that one line lists."""
UNKNOWN = -1
"""The checksum of what has no values yet, or none that lie in one piece."""


def not_finite(call: MeasuredCall) -> list[str]:
    """Run a call and say where its output or, in training, its gradients hold NaN or Inf."""
    call.clear()
    output = call()
    lines = [f"its output holds {kinds}" for kinds in _kinds([output])]
    del output
    of_inputs = [x.grad for x in call.given.tensors if x.grad is not None]
    lines += [f"the gradient of its input holds {kinds}" for kinds in _kinds(of_inputs)]
    gradients = {name: p.grad for name, p in call.module.named_parameters() if p.grad is not None}
    odd = [name for name, gradient in gradients.items() if _kinds([gradient])]
    if odd:
        (kinds,) = _kinds([gradients[name] for name in odd])
        lines.append(f"the gradients of {_names(odd)} hold {kinds}")
    # Inf may be meant, in a mask; NaN is what a batch norm that saw one value leaves in its statistics
    if lost := [name for name, buffer in call.module.named_buffers() if bool(buffer.isnan().any())]:
        lines.append(f"NaN in its buffers: {_names(lost)}")
    return lines


def state_of(module: nn.Module) -> dict[str, int | bool]:
    """What a pass in eval mode leaves as it was, and a pass in training mode but for running statistics.

    A checksum of every parameter and buffer, and the mode of every layer. Buffers of normalisation layers
    that gather statistics in training, as they should, are left out.
    """
    state: dict[str, int | bool] = {}
    for path, layer in module.named_modules():
        prefix = f"{path}." if path else ""
        state[f"the mode of {path or 'the module'}"] = layer.training
        for name, parameter in layer.named_parameters(recurse=False):
            state[f"the parameter {prefix}{name}"] = _checksum(parameter)
        if layer.training and isinstance(layer, _NormBase):
            continue
        for name, buffer in layer.named_buffers(recurse=False):
            state[f"the buffer {prefix}{name}"] = _checksum(buffer)
    return state


def changed(before: Mapping[str, int | bool], module: nn.Module) -> list[str]:
    """Say what passes have changed of the state that a module had."""
    after = state_of(module)
    different = [name for name, value in before.items() if value != UNKNOWN and after.get(name) != value]
    different += [name for name in after if name not in before]
    return [f"a pass changed its own state: {_names(different)}"] if different else []


def _kinds(tensors: Sequence[Tensor]) -> list[str]:
    """``["NaN"]``, ``["Inf"]``, ``["NaN and Inf"]`` or nothing."""
    nan = any(bool(tensor.isnan().any()) for tensor in tensors)
    inf = any(bool(tensor.isinf().any()) for tensor in tensors)
    return [" and ".join(name for name, there in (("NaN", nan), ("Inf", inf)) if there)] if nan or inf else []


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more


def _checksum(tensor: Tensor) -> int:
    """Of a tensor's bytes, wherever it is: no copy of a whole state is kept, which may be half the memory."""
    if is_lazy(tensor) or tensor.layout != torch.strided:
        return UNKNOWN
    flat = tensor.detach().cpu().contiguous().flatten()  # (numel,)
    raw: Any = flat.view(torch.uint8).numpy()  # a buffer, as NumPy's types do not say
    return zlib.crc32(raw)
