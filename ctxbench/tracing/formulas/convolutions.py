"""What a convolution takes on the CPU: in PyTorch's own kernels, and handed to oneDNN."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor

from ctxbench.tracing.formulas import onednn
from ctxbench.tracing.formulas.caches import cache_bytes
from ctxbench.tracing.formulas.onednn import BLOCK, Convolution
from ctxbench.tracing.formulas.registry import Call
from ctxbench.tracing.formulas.taken import Taken, copied, kernel, outputs, suggested_format

NAME = "oneDNN's convolution"
ONEDNN = "Mkldnn"
"""PyTorch's name of what is handed to oneDNN."""
ONEDNN_TRANSPOSED = "???"
"""And of a transposed convolution there: it has none in Python."""
OWN = ("Slow2d", "SlowDilated2d")
"""PyTorch's kernels: they unfold columns, the first of all images, the second of one after the other."""
WIDEST = 13
"""Side of the largest kernel for which the rules for the gradient of the weights were found to hold."""


@kernel("convolution")
def _convolution(call: Call, threads: int) -> Taken | int:
    x, weight, bias = call.args[:3]
    backend = _backend(call, x, weight)
    c = _sizes(call, call.out, threads, bias is not None) if backend == ONEDNN else None
    wanted = _format(x, weight)
    copies = copied(x, wanted)
    if backend in OWN:
        return outputs(call) + copies + copied(weight, wanted) + _own_columns(call, call.out, backend)
    if c is None:
        return Taken(outputs(call) + copies, library=_name(backend))
    if wanted == torch.channels_last:
        return Taken(copies + onednn.rows_forward(c, copied(weight, wanted)), fitted=NAME)
    return Taken(copies + copied(weight, wanted) + onednn.forward(c), fitted=NAME)


@kernel("convolution_backward")
def _convolution_backward(call: Call, threads: int) -> Taken | int:
    """One gradient after the other, which both stay."""
    gradient, x, weight = call.args[:3]
    backend = _backend(call, x, weight)
    ruled = backend == ONEDNN and weight.shape[-1] <= WIDEST
    c = _sizes(call, gradient, threads, call["output_mask"][2]) if ruled else None
    wanted, (of_x, of_weight) = _format(x, weight), call["output_mask"][:2]
    copies = copied(x, wanted) + copied(weight, wanted)
    if backend in OWN:
        columns = _own_columns(call, gradient, backend) if of_x or of_weight else 0
        return outputs(call) + copies + copied(gradient, wanted) + columns
    copies += copied(gradient, wanted)
    if c is None:
        return Taken(outputs(call) + copies, library=_name(backend))
    of_inputs, of_weights = onednn.input_gradient, onednn.weight_gradient
    if wanted == torch.channels_last:
        of_inputs, of_weights = onednn.rows_input_gradient, onednn.rows_weight_gradient
    first = of_inputs(c) if of_x else 0
    second = (c.x if of_x else 0) + of_weights(c) if of_weight else 0
    return Taken(copies + max(first, second), fitted=NAME)


def _backend(call: Call, x: Tensor, weight: Tensor) -> str:
    """Which kernel PyTorch chooses on this machine for so many threads, by its own name."""
    names = ("stride", "padding", "dilation", "transposed", "output_padding", "groups")
    chosen: Any = torch._C._select_conv_backend(x, weight, None, *map(call.__getitem__, names))
    return str(chosen.name)


def _name(backend: str) -> str:
    """Whose scratch is not known."""
    return NAME if backend == ONEDNN_TRANSPOSED or backend.startswith(ONEDNN) else f"PyTorch's {backend}"


def _format(x: Tensor, weight: Tensor) -> torch.memory_format:
    """The format that all operands are brought to."""
    formats = (suggested_format(x), suggested_format(weight))
    return torch.channels_last if torch.channels_last in formats else torch.contiguous_format


def is_fitted_here() -> bool:
    """Whether oneDNN chooses on this machine as the rules say: on AVX-512, with caches of known sizes."""
    return "AVX512" in torch.backends.cpu.get_cpu_capability() and all(map(cache_bytes, (1, 2)))


def _sizes(call: Call, y: Tensor, threads: int, bias: bool) -> Convolution | None:
    """What the rules ask of a convolution with output ``y``; None where they do not hold for it."""
    x, weight = call["input"], call["weight"]
    square = x.ndim == 4 and all(
        len(set(pair)) == 1 for pair in (weight.shape[2:], call["stride"], call["padding"], call["dilation"])
    )
    plain = x.dtype == torch.float32 and square and call["stride"][0] == 1 and y.numel()
    if not (plain and is_fitted_here()):
        return None
    groups = call["groups"]
    if groups > 1:
        group = x.shape[1] // groups, y.shape[1] // groups
        whole = group == (1, 1) and groups % BLOCK == 0
        if call["dilation"][0] > 1 or not (whole or all(channels % BLOCK == 0 for channels in group)):
            return None
    (n, inputs, height, width), (_, channels, out_height, out_width) = x.shape, y.shape
    padding, dilation = call["padding"][0], call["dilation"][0]
    return Convolution(
        n, inputs, channels, height, width, out_height, out_width,
        weight.shape[2], padding, dilation, groups, bias, threads,
    )  # fmt: skip


def _own_columns(call: Call, y: Tensor, backend: str) -> int:
    """Bytes of unfolded images; one element of a kernel, not strided or dilated, reads them as is."""
    x: Tensor = call["input"]
    weight: Tensor = call["weight"]
    whole = prod(weight.shape[2:]) == prod(call["stride"]) == 1 and not any(call["padding"])
    if whole and backend == OWN[0]:
        return 0
    images = len(x) if backend == OWN[0] else 1
    return images * prod(weight.shape[1:]) * prod(y.shape[2:]) * x.element_size()
