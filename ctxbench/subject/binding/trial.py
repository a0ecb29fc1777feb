"""One trial: build a block with these arguments, call it with those inputs, and see what comes out.

Everything is fake (shapes without data), so that a trial costs no memory; a block that cannot be built so is
built for real.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from ctxbench.errors import UserError
from ctxbench.sandbox.fake import convert, fake_module, fake_tensors, undisturbed
from ctxbench.subject.binding.layouts import channels_in, is_map_in, layout_of
from ctxbench.subject.expression import SIZES, evaluate, is_expression
from ctxbench.subject.interface import Interface, described, tensors_in
from ctxbench.subject.resolve import Target

Sizes = Mapping[str, int]


def filled_in(value: Any, sizes: Sizes, names: Mapping[str, Any]) -> Any:
    """An option's value at these sizes; each call makes its lists and dictionaries anew."""
    if is_expression(value):
        return evaluate(value[1:], sizes, names)
    return copy.deepcopy(value)


class OnTheCpu(TorchFunctionMode):
    """Turns ``.cuda()`` and ``device="cuda"`` to the CPU, where a block asks for a GPU that is not there."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if getattr(func, "__name__", "") == "cuda":
            return args[0]
        return func(*map(_off_cuda, args), **{key: _off_cuda(value) for key, value in (kwargs or {}).items()})


def _off_cuda(value: Any) -> Any:
    is_cuda = (isinstance(value, torch.device) and value.type == "cuda") or (
        isinstance(value, str) and (value == "cuda" or value.startswith("cuda:"))
    )
    return torch.device("cpu") if is_cuda else value


@contextmanager
def without_cuda() -> Iterator[None]:
    """Where there is no GPU, blocks that ask for one are built on the CPU."""
    if torch.cuda.is_available():
        yield
        return
    to = nn.Module.cuda
    nn.Module.cuda = lambda self, device=None: self  # type: ignore[method-assign]
    try:
        with OnTheCpu():
            yield
    finally:
        nn.Module.cuda = to  # type: ignore[method-assign]


@dataclass(frozen=True)
class Ran:
    """A trial that ran: the way to the output looked at, its shape, and whether it holds the map's sides."""

    interface: Interface
    shape: tuple[int, ...]
    is_map: bool
    cost: tuple[int, int]
    """Parameters, and FLOPs by torch's own count: enough to see that a value changes what a block costs."""

    @property
    def channels(self) -> int:
        """Those of the output, in the layout of the input."""
        return channels_in(layout_of(self.interface.inputs), self.shape) if len(self.shape) > 1 else 0


@dataclass(frozen=True)
class Built:
    """A block, and the mode its tensors live in; none where they are real."""

    module: nn.Module
    fake: FakeTensorMode | None


def built(target: Target, arguments: Mapping[str, Any], sizes: Sizes, *, real: bool = False) -> Built:
    """The block, in eval mode, among fake tensors unless ``real``. Raises whatever its constructor raises."""
    values = {name: filled_in(value, sizes, target.names) for name, value in arguments.items()}
    shape = (sizes["N"], sizes["C"], sizes["H"], sizes["W"])
    make = partial(target.make, values)
    fake = None if real else fake_tensors()
    with undisturbed(), without_cuda():
        if fake is None:
            module = make()
        else:
            module = fake_module(target.maker if target.is_instance else make, fake, shape)
            with fake:
                convert(module, torch.float32, torch.contiguous_format)
        module.eval()  # which may return None
    return Built(module, fake)


def run(block: Built, interface: Interface, sizes: Sizes) -> Ran:
    """Call a block; the output is the first with the map's sides in the layout of the input, else any.

    Raises whatever it raises, and UserError where it returns no tensor of the batch.
    """
    shape = tuple(sizes[letter] for letter in SIZES)
    module, tensors = block.module, block.fake or nullcontext()
    with undisturbed(), without_cuda(), tensors, torch.no_grad(), FlopCounterMode(display=False) as counter:
        given = interface.given(module, shape, lambda sides, _: torch.randn(sides))
        output = module(*given.args, **given.kwargs)
    path, tensor, is_map = _looked_at(output, interface, dict(sizes))
    cost = sum(p.numel() for p in module.parameters()), counter.get_total_flops()
    first = next((way for way, _ in tensors_in(output)), "")
    way = interface.output or ("" if path == first else path)
    return Ran(Interface(interface.inputs, way), tuple(tensor.shape), is_map, cost)


def _looked_at(output: Any, interface: Interface, sizes: dict[str, int]) -> tuple[str, Tensor, bool]:
    layout = layout_of(interface.inputs)
    if interface.output:
        picked = interface.pick(output)
        return interface.output, picked, is_map_in(layout, tuple(picked.shape), sizes)
    found = list(tensors_in(output))
    for path, tensor in found:
        if is_map_in(layout, tuple(tensor.shape), sizes):
            return path, tensor, True
    for path, tensor in found:
        if tensor.ndim and tensor.shape[0] == sizes["N"]:
            return path, tensor, False
    raise UserError(f"it returned {described(output)}, and no tensor of a batch of {sizes['N']}")
