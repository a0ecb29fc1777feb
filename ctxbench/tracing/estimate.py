"""What a pass on real tensors would take, from a pass on fake ones in which values are guessed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

GUESSES: dict[torch.dtype, bool | int | float] = {torch.bool: True}
"""What a value is taken for: a check (``assert isfinite(x).all()``) passes; other values are 1."""


@contextmanager
def guessed_values() -> Iterator[None]:
    """Among fake tensors: where a module asks for a value, it gets a guess instead of an exception."""
    with _GuessedArrays(), _GuessedOperations():  # type: ignore[no-untyped-call]
        yield


class _GuessedOperations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    supports_higher_order_operators = True

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        try:
            return func(*args, **(kwargs or {}))
        except (RuntimeError, NotImplementedError):
            guess = _guess(func, args)
            if guess is None:
                raise
            return guess


def _guess(func: Any, args: Sequence[Any]) -> Any:
    """A value for a scalar, the most there can be for a selection, and an operation's input as its output."""
    first = next((leaf for leaf in tree_leaves(args) if isinstance(leaf, Tensor)), None)
    if first is None or isinstance(func, torch._ops.HigherOrderOperator):
        return None
    match func._schema.name:
        case "aten::_local_scalar_dense":
            return GUESSES.get(first.dtype, 1.0 if first.is_floating_point() else 1)
        case "aten::nonzero":
            return first.new_empty((first.numel(), first.ndim), dtype=torch.int64)
        case "aten::masked_select":
            return first.new_empty(first.numel())
    returns = func._schema.returns
    if func.namespace != "aten" and len(returns) == 1 and str(returns[0].type) == "Tensor":
        return torch.empty_like(first)  # without a fake kernel; most such operations keep the shape
    return None


class _GuessedArrays(TorchFunctionMode):
    """numpy gets arrays of ones that take no memory."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in (Tensor.numpy, Tensor.__array__):
            tensor = args[0]
            ones = np.ones((), dtype=str(tensor.dtype).removeprefix("torch."))
            return np.broadcast_to(ones, tuple(tensor.shape))
        if func is Tensor.tolist:
            return [1] * prod(args[0].shape)
        return func(*args, **(kwargs or {}))
