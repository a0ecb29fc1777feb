"""Which formula an operation has: ours, one that was registered, torch's own, or none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from ctxbench.tracing.formulas.moves import MOVES, NO_OPERATIONS, VIEWS

Kind = Literal["product", "elementwise", "move", "view", "unknown"]
ENTRY_POINT_GROUP = "ctxbench.formulas"


def tensors_in(tree: Any) -> list[Tensor]:
    """Every tensor among the arguments or results of an operation, in order."""
    if isinstance(tree, Tensor):
        return [tree]
    if type(tree) in (tuple, list):
        return [tensor for branch in tree for tensor in tensors_in(branch)]
    if type(tree) is dict:
        return [tensor for branch in tree.values() for tensor in tensors_in(branch)]
    if tree is None or type(tree) in (int, bool, float):
        return []
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


class Cost(NamedTuple):
    """MACs and element-wise operations of one call."""

    kind: Kind
    macs: int = 0
    elementwise: int = 0


class Call:
    """One call of an operation, as a formula sees it; the tensors may be fake, only their shapes count."""

    def __init__(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], out: Any) -> None:
        self._func, self.args, self._kwargs, self._result = func, args, kwargs, out

    def __getitem__(self, name: str) -> Any:
        """An argument by its name in the operation's schema; its default where it was not given."""
        for index, argument in enumerate(self._func._schema.arguments):
            if argument.name == name:
                given = self.args[index] if index < len(self.args) else argument.default_value
                return self._kwargs.get(name, given)
        raise KeyError(name)

    @property
    def input(self) -> Tensor:
        """The first tensor among the arguments, lists among them looked into."""
        return tensors_in((self.args, self._kwargs))[0]

    @property
    def out(self) -> Tensor:
        """The first tensor that was returned."""
        return tensors_in(self._result)[0]

    @property
    def has_floats(self) -> bool:
        """Whether any tensor that goes in or comes out holds floating-point numbers, or complex ones."""
        tensors = tensors_in((self.args, self._kwargs, self._result))
        return any(tensor.is_floating_point() or tensor.is_complex() for tensor in tensors)


Formula = Callable[[Call], Cost]
Number = int | Callable[..., int]

_formulas: dict[str, Formula] = {}
_registered: dict[str, Formula] = {}  # by users, who may replace ours
PRODUCTS: set[str] = set()
"""Names of the operations whose formula counts MACs."""


def product(names: str) -> Callable[[Callable[[Call], tuple[int, int]]], Formula]:
    """Decorate the formula of the operations in ``names``, which gives (MACs, element-wise operations)."""

    def add(count: Callable[[Call], tuple[int, int]]) -> Formula:
        def formula(call: Call) -> Cost:
            return Cost("product", *count(call))

        PRODUCTS.update(names.split())
        _formulas.update(dict.fromkeys(names.split(), formula))
        return formula

    return add


def elementwise(names: str) -> Callable[[Callable[[Call], int]], Formula]:
    """Decorate the formula of the operations in ``names``, which gives element-wise operations."""

    def add(count: Callable[[Call], int]) -> Formula:
        def formula(call: Call) -> Cost:
            return Cost("elementwise", elementwise=count(call))

        _formulas.update(dict.fromkeys(names.split(), formula))
        return formula

    return add


def per_input(operations: int, names: str) -> None:
    """So many element-wise operations for each element of the first tensor argument."""
    elementwise(names)(lambda call: operations * call.input.numel())


def per_output(operations: int, names: str) -> None:
    """So many element-wise operations for each element of the first output."""
    elementwise(names)(lambda call: operations * call.out.numel())


def register_formula(op: Any, *, macs: Number | None = None, flops: Number | None = None) -> None:
    """Say what an operation of yours costs, for every count made in this process from now on.

    ``op`` is the operation (``torch.ops.mine.double``, an overload of it, what ``torch.library.custom_op``
    returned) or its name, ``"mine::double"``. ``macs`` are its multiply–accumulates and ``flops`` its
    floating-point operations, 2·MACs and what it does element by element; where one is left out, ``flops``
    is 2·``macs``, or ``macs`` is 0. Each is a number, or a function that is called as the operation was, with
    ``out=`` its result (the tensors may be fake: only look at shapes), and returns one.

    An installed package offers its formulas without being imported first by an entry point of the group
    ``ctxbench.formulas``: a function without arguments that makes these calls.

    Raises ValueError where neither is given, and TypeError where ``op`` is no operation.

    >>> import ctxbench
    >>> ctxbench.register_formula("mine::double", flops=lambda x, out: out.numel())
    """
    if macs is None and flops is None:
        raise ValueError("register_formula needs macs=, flops= or both")
    name = _operation_name(op)

    def formula(call: Call) -> Cost:
        multiplied = _number(macs, call, name) if macs is not None else 0
        operations = _number(flops, call, name) if flops is not None else 2 * multiplied
        if operations < 2 * multiplied:
            raise ValueError(f"the formula of {name} gives {operations} FLOPs, less than 2·{multiplied} MACs")
        return Cost("product" if macs is not None else "elementwise", multiplied, operations - 2 * multiplied)

    _registered[name] = formula


def _number(formula: Number, call: Call, name: str) -> int:
    value = formula(*call.args, **call._kwargs, out=call._result) if callable(formula) else formula
    if int(value) != value or value < 0:
        raise ValueError(f"the formula of {name} gives {value!r}; a count is a whole number, at least 0")
    return int(value)


def _operation_name(op: Any) -> str:
    if isinstance(op, str):
        namespace, _, name = op.partition("::")
        if not name:
            raise TypeError(f"{op!r} is no operation: write namespace::name")
        return (namespace + "::" + name.partition(".")[0]).removeprefix("aten::").rstrip("_")
    if isinstance(op, (torch._ops.OpOverload, torch._ops.HigherOrderOperator)):
        return base_name(op)
    qualified = getattr(op, "_qualified_op_name", None) or getattr(op, "_qualname", None)
    if not isinstance(qualified, str):
        raise TypeError(f"{op!r} is no operation: give torch.ops.namespace.name or 'namespace::name'")
    return qualified.removeprefix("aten::").rstrip("_")


@cache
def base_name(func: Any) -> str:
    """The operation's name without overload, and without the namespace ``aten``; ``addmm_`` is ``addmm``.

    An operator that takes functions, as ``torch.cond``, has a name alone.
    """
    if isinstance(func, torch._ops.HigherOrderOperator):
        return str(func.name())  # type: ignore[no-untyped-call]
    return str(func._schema.name).removeprefix("aten::").rstrip("_")


def cost(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], out: Any) -> Cost:
    """The cost of one call of an operation (an overload, or one that takes functions).

    ``args`` and ``kwargs`` are what it was called with; ``out`` is what the call returned.
    """
    name, call = base_name(func), Call(func, args, kwargs, out)
    if (registered := _registered.get(name)) is not None:
        return registered(call)
    if getattr(func, "is_view", False) or name in VIEWS:
        return Cost("view")
    if (formula := _formulas.get(name)) is not None:
        found = formula(call)
        return found if found.macs or call.has_floats else Cost("move")
    if name in MOVES or name.startswith(NO_OPERATIONS):
        return Cost("move")
    if (flops := _torch_flops(func, call)) is not None:
        return Cost("product", flops // 2, flops % 2)
    if torch.Tag.pointwise in getattr(func, "tags", ()):
        return Cost("elementwise", elementwise=call.out.numel()) if call.has_floats else Cost("move")
    return Cost("unknown")


def _torch_flops(func: Any, call: Call) -> int | None:
    """What a formula in torch's own registry gives: there a multiply–accumulate is two FLOPs, as here."""
    formula = flop_registry.get(getattr(func, "_overloadpacket", func))
    return None if formula is None else int(formula(*call.args, **call._kwargs, out_val=call._result))


@cache
def load_entry_points() -> None:
    """Call what installed packages offer under ``ctxbench.formulas``, once a process."""
    from importlib.metadata import entry_points

    for point in entry_points(group=ENTRY_POINT_GROUP):
        offered = point.load()  # of a module, the import may be all
        if callable(offered):
            offered()
