"""A block of tokens, or of another layout, as a module of maps (N, C, H, W), which networks pass on."""

from __future__ import annotations

import re
from math import prod

from torch import Tensor, nn

from ctxbench.errors import UserError
from ctxbench.subject.interface import PLAIN, Interface, parse_inputs

AXES = "NCHW"


def of_map(block: nn.Module, interface: Interface) -> nn.Module:
    """The block itself where it takes one map and returns one tensor, else with an adapter around it.

    Raises UserError for inputs that a map cannot be turned into.
    """
    return block if interface == PLAIN else OfMap(block, interface)


class OfMap(nn.Module):
    """Gives a map to a block in the block's own layout, and its output back as a map.

    Args:
        block: what is called.
        interface: how; every input of it is the same map.

    Raises:
        UserError: an input has not each of N, C, H and W once.

    """

    def __init__(self, block: nn.Module, interface: Interface) -> None:
        super().__init__()
        self.block, self._interface = block, interface
        tensors = [a for a in parse_inputs(interface.inputs) if a.kind in ("tensor", "list")]
        self._patterns = [pattern for argument in tensors for pattern in argument.patterns]
        for pattern in self._patterns:
            if sorted(_order(pattern)) != sorted(AXES) or re.search(r"[\d+/-]", "".join(pattern)):
                raise UserError(f"in a network a block takes a map, and not {' '.join(pattern)}")

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', H, W)."""
        inputs = iter([_laid_out(x, pattern) for pattern in self._patterns])
        given = self._interface.given(self.block, tuple(x.shape), lambda shape, _: next(inputs))
        out = self._interface.pick(self.block(*given.args, **given.kwargs))
        return _as_map(out, self._patterns[0], tuple(x.shape))


def _order(pattern: tuple[str, ...]) -> str:
    """The axes in the order of a layout: ``NHWC`` of ``N (H W) C``."""
    return "".join(re.findall(r"[A-Z]", "".join(pattern)))


def _laid_out(x: Tensor, pattern: tuple[str, ...]) -> Tensor:
    """A map (N, C, H, W) in another layout."""
    sizes = dict(zip(AXES, x.shape, strict=True))
    shape = [prod(sizes[axis] for axis in _order((token,))) for token in pattern]
    return x.permute([AXES.index(axis) for axis in _order(pattern)]).reshape(shape)  # such as (N, H·W, C)


def _as_map(out: Tensor, pattern: tuple[str, ...], shape: tuple[int, ...]) -> Tensor:
    """An output in the layout that went in, with any number of channels, as a map (N, C', H, W).

    Raises UserError where it has not the map's sides.
    """
    order, sizes = _order(pattern), dict(zip(AXES, shape, strict=True))
    sizes["C"] = out.shape[-1] if order.endswith("C") else out.shape[1] if out.ndim > 1 else 0
    wanted = [prod(sizes[axis] for axis in _order((token,))) for token in pattern]
    if list(out.shape) != wanted:
        raise UserError(f"in a network a block keeps the map's sides; this one returned {tuple(out.shape)}")
    whole = out.reshape([sizes[axis] for axis in order])  # each axis by itself, such as (N, H, W, C')
    return whole.permute([order.index(axis) for axis in AXES])  # (N, C', H, W)
