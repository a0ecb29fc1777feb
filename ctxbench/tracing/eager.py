"""Where torch runs something else under a dispatch mode than without one, and how to see what eager runs.

``linear`` of a batch that is not contiguous is a matrix product and an addition of the bias. Eager execution
adds in place; under any dispatch mode ATen adds out of place (its ``isTensorSubclassLike`` then holds), and
the recorded peak would be twice what the module takes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._C import DispatchKey
from torch._higher_order_ops.cond import cond_op

LINEAR = torch.ops.aten.linear.default

_thread = threading.local()


@contextmanager
def linear_is_noticed() -> Iterator[None]:
    """While this lasts, :func:`bias_is_added_in_place` knows which operations ``linear`` is made of.

    A kernel that only notes the call stands before torch's own, wherever ``linear`` is called from: layers,
    functions, the C++ of recurrent layers, scripted modules. A function mode would be simpler, but attention
    layers leave their fused path where one is on.
    """
    library = torch.library.Library("aten", "IMPL")  # type: ignore[no-untyped-call]
    library.impl("linear", _noted_linear, "AutogradCPU")  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        library._destroy()  # type: ignore[no-untyped-call]


@contextmanager
def branches_run_plainly() -> Iterator[None]:
    """While this lasts, ``torch.cond`` takes a branch as an ``if`` does.

    Torch compiles both, to which a recording can say nothing, and cannot differentiate them uncompiled.
    """
    kernels = cond_op.py_kernels
    before = kernels[DispatchKey.Autograd]
    kernels[DispatchKey.Autograd] = plain_cond
    cond_op._dispatch_cache.clear()
    try:
        yield
    finally:
        kernels[DispatchKey.Autograd] = before
        cond_op._dispatch_cache.clear()


def plain_cond(predicate: Any, if_true: Any, if_false: Any, operands: Sequence[Any]) -> Any:
    """Run the branch that ``predicate`` tells; among fake tensors this raises, as every look at data does."""
    return (if_true if bool(predicate) else if_false)(*operands)


def _noted_linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    before = getattr(_thread, "in_linear", False)
    _thread.in_linear = True
    try:
        out: Tensor = LINEAR._op_dk(DispatchKey.CompositeImplicitAutograd, x, weight, bias)
        return out
    finally:
        _thread.in_linear = before


def bias_is_added_in_place(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether this call, inside ``linear``, adds a bias (O) to a product (…, O) that nobody else holds."""
    if func is not torch.ops.aten.add.Tensor or kwargs or not getattr(_thread, "in_linear", False):
        return False
    product, bias = args
    return bool(product.dtype == bias.dtype)
