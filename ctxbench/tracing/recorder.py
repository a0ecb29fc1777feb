"""The mode that sees every operation below autograd, notes its cost, and follows what it allocates."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import (
    TorchDispatchMode,
    _get_current_dispatch_mode_stack,
    is_traceable_wrapper_subclass_type,
)

from ctxbench.tracing.eager import bias_is_added_in_place, branches_run_plainly, linear_is_noticed, plain_cond
from ctxbench.tracing.engine import Engine, counts_of_one_holder
from ctxbench.tracing.formulas import PRODUCTS, Taken, base_name, cost, taken, tensors_in
from ctxbench.tracing.formulas.results import as_eager_returns
from ctxbench.tracing.lifetimes import Lifetimes, tensor_bytes
from ctxbench.tracing.ops import Op, Phase

DEVICE = torch.ops.prim.device.default
COMPOSITE = "CompositeImplicitAutograd"
"""The dispatch key of operations that are written as other operations."""


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records what ``module`` runs; ``given`` are the tensors that are there before it runs.

    What kernels take inside a call is that of so many ``threads``.
    """

    supports_higher_order_operators = True

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Torch would wrap ``__torch_dispatch__``, lest Dynamo compile it: recordings keep it from that."""
        return False

    def __init__(self, module: nn.Module, given: list[Tensor], threads: int = 1) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.ops: list[Op] = []
        self.memory = Lifetimes(given)
        self.inside: dict[int, Taken] = {}
        self._engine = Engine(counts_of_one_holder(len(_get_current_dispatch_mode_stack())))
        self._threads = threads
        self.phase: Phase = "forward"
        self._paths = {id(m): path for path, m in module.named_modules()}
        self._stack = [""]
        self._since: list[int] = [0]  # autograd sequence numbers at which the innermost module changed ...
        self._during: list[str] = [""]  # ... and what it changed to

    @contextmanager
    def recording(self, with_hooks: bool) -> Iterator[None]:
        """While this lasts, everything that runs in this thread is recorded; saved tensors by hooks."""
        with ExitStack() as stack:
            if with_hooks:
                stack.enter_context(saved_tensors_hooks(self.memory.pack, lambda tensor: tensor))
            stack.enter_context(linear_is_noticed())
            stack.enter_context(branches_run_plainly())
            stack.enter_context(self._engine.following())
            stack.enter_context(patch.object(torch, "get_rng_state", self._random_state))
            stack.enter_context(self)
            enter, leave = (
                register_module_forward_pre_hook(self._enter),
                register_module_forward_hook(self._leave, always_call=True),
            )
            stack.callback(enter.remove)
            stack.callback(leave.remove)
            yield

    def _random_state(self) -> Tensor:
        """What checkpoints keep, to draw the same numbers again; it is made below all dispatch."""
        state = torch.random.get_rng_state()
        self.memory.follow(state)
        return state

    def _enter(self, module: nn.Module, args: Any) -> None:
        self._stack.append(self._paths.get(id(module), self._stack[-1]))
        self._mark()

    def _leave(self, module: nn.Module, args: Any, out: Any) -> None:
        self._stack.pop()
        self._mark()

    def _mark(self) -> None:
        self._since.append(torch._C._autograd._get_sequence_nr())
        self._during.append(self._stack[-1])

    def _where(self) -> str:
        """Forward: the module being called. Backward: the one that was, when this node was made."""
        if self.phase == "forward" or len(self._stack) > 1:  # or a checkpoint, run again
            return self._stack[-1]
        node = torch._C._current_autograd_node()
        if node is None or "AccumulateGrad" in node.name():
            return ""
        return self._during[bisect_right(self._since, node._sequence_nr()) - 1]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is DEVICE and isinstance(args[0], FakeTensor):  # autograd asks twice for each gradient
            return args[0].device
        kwargs = kwargs or {}
        if any(is_traceable_wrapper_subclass_type(kind) for kind in types):
            return NotImplemented  # a nested tensor first says which operations on plain ones it stands for
        if isinstance(func, torch._ops.HigherOrderOperator):
            return self._higher_order(func, args, kwargs)
        if func.namespace == "prim":
            return func(*args, **kwargs)
        if base_name(func) not in PRODUCTS and _is_composite(func):
            with self:  # under inference mode a composite operation arrives whole: count what it is made of
                return func._op_dk(torch._C.DispatchKey.CompositeImplicitAutograd, *args, **kwargs)
        if bias_is_added_in_place(func, args, kwargs):
            self._run(torch.ops.aten.add_.Tensor, args, kwargs)
            return torch.ops.aten.alias.default(args[0])
        if (in_place := self._engine.in_place(func, args)) is not None:
            self._run(in_place, args, kwargs)
            return args[0]
        return self._run(func, args, kwargs)

    def _higher_order(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Of ``torch.cond``, the branch that is taken; other operators that take functions run whole."""
        if func.name() == "cond":  # it comes here under inference mode alone
            with self:
                return plain_cond(*args)
        return self._run(func, args, kwargs)

    def _run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        inputs = tensors_in((args, kwargs))
        for tensor in inputs:
            self.memory.accept(tensor)
        out = as_eager_returns(func, args, func(*args, **kwargs))
        outputs = tensors_in(out)
        kind, macs, elementwise = cost(func, args, kwargs, out)
        self.ops.append(
            Op(
                name=str(func),
                module=self._where(),
                phase=self.phase,
                inputs=tuple(map(_shape, inputs)),
                outputs=tuple(map(_shape, outputs)),
                kind=kind,
                macs=macs,
                elementwise=elementwise,
                bytes=0
                if kind == "view" or not outputs or _only_allocates(func)
                else _moved(inputs, outputs),
            )
        )
        self.memory.op = len(self.ops) - 1
        dense = all(t.layout == torch.strided and not t.is_nested for t in (*inputs, *outputs))
        if dense and (most := taken(func, args, kwargs, out, self._threads)):
            self.memory.inside(most.bytes)
            if most.library or most.fitted:
                self.inside[self.memory.op] = most
        for tensor in (*inputs, *outputs):
            self.memory.follow(tensor)
        return out


def _is_composite(func: Any) -> bool:
    """Whether eager execution runs this operation as others, by torch's kernel in C++ for all devices.

    Torch also has decompositions in Python, for compilers: eager execution never takes those.
    """
    has_kernel = torch._C._dispatch_has_kernel_for_dispatch_key
    return bool(has_kernel(func.name(), COMPOSITE) and not has_kernel(func.name(), "CPU"))


def _only_allocates(func: Any) -> bool:
    return base_name(func).startswith(("empty", "new_empty"))


def _moved(inputs: list[Tensor], outputs: list[Tensor]) -> int:
    return sum(map(tensor_bytes, inputs)) + sum(map(tensor_bytes, outputs))


def _shape(tensor: Tensor) -> tuple[int, ...]:
    """A nested tensor has no one shape: how many elements it holds, then."""
    return (tensor.numel(),) if tensor.is_nested else tuple(tensor.shape)
