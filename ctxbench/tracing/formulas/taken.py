"""What a call takes at its highest point before it returns: a table of kernels, one entry each.

Outputs are in it. An operation without an entry takes its outputs alone. The entries are those of PyTorch's
kernels on the CPU; CUDA's allocate differently, and are not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ctxbench.tracing.formulas.registry import Call, base_name, tensors_in

FLOAT = 4
"""Bytes of a float32."""
HALVES = (torch.bfloat16, torch.float16)


class Taken(NamedTuple):
    """The most ``bytes`` that a call has at once, outputs among them.

    ``library`` names a kernel whose own scratch is not known, and so not in it; ``fitted`` one of a library
    whose rule was found by measuring.
    """

    bytes: int
    library: str = ""
    fitted: str = ""


Rule = Callable[[Call, int], "int | Taken"]
"""Of a call whose outputs are dense tensors, and a number of threads."""

_rules: dict[str, Rule] = {}


def kernel(names: str) -> Callable[[Rule], Rule]:
    """Decorate the rule of the operations in ``names``."""

    def add(rule: Rule) -> Rule:
        _rules.update(dict.fromkeys(names.split(), rule))
        return rule

    return add


def taken(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], out: Any, threads: int) -> Taken | None:
    """What one call on dense tensors takes; None where that is its outputs, or nothing is known of it."""
    rule = _rules.get(base_name(func))
    if rule is None:
        return None
    most = rule(Call(func, args, kwargs, out), threads)
    return most if isinstance(most, Taken) else Taken(most)


def size(*given: Tensor | None) -> int:
    """Bytes of dense tensors of these shapes."""
    return sum(tensor.numel() * tensor.element_size() for tensor in given if tensor is not None)


def outputs(call: Call) -> int:
    """Bytes of what a call returns; 0 where it writes into an argument."""
    if call._func._schema.is_mutable:
        return 0
    return size(*tensors_in(call._result))


def suggested_format(x: Tensor) -> torch.memory_format:
    """The memory format that ATen reads from strides, those of dimensions of length 1 among them."""
    if x.ndim != 4 or not x.stride(1):
        return torch.contiguous_format
    least = 0
    for axis in (1, 3, 2, 0):
        stride, length = x.stride(axis), x.shape[axis]
        if length == 0 or stride < least or (axis == 0 and least == x.stride(1)):
            return torch.contiguous_format
        least = stride * length
    return torch.channels_last


def copied(x: Tensor | None, memory_format: torch.memory_format = torch.contiguous_format) -> int:
    """Bytes of the copy that ``x.contiguous(memory_format)`` makes: 0 where it is so already."""
    return 0 if x is None or x.is_contiguous(memory_format=memory_format) else size(x)
