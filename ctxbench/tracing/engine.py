"""What autograd's engine does between nodes, and how it does the same under a dispatch mode.

Where two gradients of one tensor meet, the engine adds the second into the first, unless somebody else still
holds that. Under any dispatch mode it adds out of place (ATen's ``isTensorSubclassLike`` then holds), which
takes one more tensor; the derivatives of some operations write in place under the same condition. Both are
put back here: the recorder asks :meth:`Engine.in_place` for each operation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten

ADD = aten.add.Tensor
SCATTER = {aten.scatter.src: aten.scatter_.src, aten.scatter.value: aten.scatter_.value}
DERIVATIVES: dict[str, dict[Any, Any]] = {
    "GatherBackward": {aten.scatter_add.default: aten.scatter_add_.default},
    "CummaxBackward": {aten.scatter_add.default: aten.scatter_add_.default},
    "CumminBackward": {aten.scatter_add.default: aten.scatter_add_.default},
    "IndexBackward": {aten.index_put.default: aten.index_put_.default},
    "IndexSelectBackward": {aten.index_add.default: aten.index_add_.default},
    "TakeBackward": {aten.put.default: aten.put_.default},
    "TraceBackward": {aten.index_fill.int_Tensor: aten.index_fill_.int_Tensor},
    **dict.fromkeys(
        (
            f"{name}Backward"
            for name in ("Max", "Min", "Median", "Nanmedian", "Mode", "Kthvalue", "Sort", "Topk")
        ),
        SCATTER,
    ),
    "BinaryCrossEntropyWithLogitsBackward": {
        aten.sub.Tensor: aten.sub_.Tensor,
        aten.mul.Tensor: aten.mul_.Tensor,
        aten.div.Tensor: aten.div_.Tensor,
        aten.div.Scalar: aten.div_.Scalar,
    },
}
"""Of each derivative, by its node: what it runs for subclasses of tensors, and what otherwise."""

Counts = tuple[int, int]
"""How many hold a tensor, and how many its storage."""


class Engine:
    """Follows which node runs, by hooks on the nodes of every graph that a backward pass starts from."""

    def __init__(self, alone: Counts | None = None) -> None:
        """``alone`` are the :func:`counts` of a gradient that only the engine holds."""
        self._alone = alone
        self.between_nodes = False

    @contextmanager
    def following(self) -> Iterator[None]:
        """While this lasts, nodes are hooked before they run, also where a node starts a pass of its own."""
        run = torch.autograd.graph._engine_run_backward

        def hooked(outputs: Sequence[Tensor | GradientEdge], *args: Any, **kwargs: Any) -> Any:
            handles = self._hook(outputs)
            before = self.between_nodes
            try:
                return run(outputs, *args, **kwargs)
            finally:
                self.between_nodes = before
                for handle in handles:
                    handle.remove()

        with (
            patch.object(torch.autograd.graph, "_engine_run_backward", hooked),
            patch.object(torch.autograd, "_engine_run_backward", hooked),
        ):
            yield

    def _hook(self, outputs: Sequence[Tensor | GradientEdge]) -> list[Any]:
        """Hook what leads to ``outputs``, but for leaves: hooks would hold the gradients that they keep."""
        handles: list[Any] = []
        edges = [out if isinstance(out, GradientEdge) else get_gradient_edge(out) for out in outputs]
        waiting: list[Node | None] = [edge.node for edge in edges]
        seen: set[Node] = set()
        while waiting:
            node = waiting.pop()
            if node is None or node in seen or not node.next_functions:
                continue
            seen.add(node)
            handles += (node.register_prehook(self._starts), node.register_hook(self._ends))
            waiting += (following for following, _ in node.next_functions)
        return handles

    def _starts(self, gradients: Any) -> None:
        self.between_nodes = False

    def _ends(self, gradients: Any, incoming: Any) -> None:
        self.between_nodes = True

    def in_place(self, func: Any, args: Sequence[Any]) -> Any:
        """The overload that eager execution runs instead of ``func``, into its first operand, or None.

        To be asked before anything else takes hold of the arguments.
        """
        if torch.is_grad_enabled():
            return None
        if func is ADD and self.between_nodes:
            return aten.add_.Tensor if self._is_alone(args[0]) else None
        if (
            func not in _FUNCTIONAL
            or self.between_nodes
            or (node := torch._C._current_autograd_node()) is None
        ):
            return None
        return DERIVATIVES.get(node.name().rstrip("0123456789"), {}).get(func)

    def _is_alone(self, gradient: Tensor) -> bool:
        return counts(gradient) == self._alone and _is_dense(gradient)


_FUNCTIONAL = {func for overloads in DERIVATIVES.values() for func in overloads}


def counts(tensor: Tensor) -> Counts:
    """How many hold this tensor, and its storage."""
    storage = tensor.untyped_storage()
    holders: int = tensor._use_count()  # type: ignore[attr-defined]
    return holders, torch._C._storage_Use_Count(storage._cdata)


def _is_dense(tensor: Tensor) -> bool:
    """Whether the elements fill one stretch of memory, in any order, none of them twice."""
    expected = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size == 1:
            continue
        if stride != expected:
            return False
        expected *= size
    return True


class _Calibration(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Looks at the gradients that meet."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.engine, self.seen = engine, (0, 0)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is ADD and self.engine.between_nodes:
            self.seen = counts(args[0])
        return func(*args, **(kwargs or {}))


@cache
def counts_of_one_holder(modes: int) -> Counts:
    """What :func:`counts` gives, from inside one more mode, of a gradient that only the engine holds.

    Seen in a graph in which two fresh gradients meet: how often Python and modes hold it is torch's affair,
    which depends on how many ``modes`` are on.
    """
    engine = Engine()
    mode = _Calibration(engine)
    with torch.enable_grad(), engine.following(), mode:
        x = torch.empty(2, requires_grad=True)
        torch.autograd.backward(x.sin() * x.cos(), torch.empty(2))
    return mode.seen
