"""Record a module as a trace: below autograd, on fake tensors, so that no size costs memory or time."""

from __future__ import annotations

import copy
import weakref
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeCopyMode,
    FakeTensorMode,
)
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ctxbench.errors import UserError
from ctxbench.tracing.formulas import PRODUCTS, base_name, cost
from ctxbench.tracing.ops import MemoryEvent, Op, Phase, Trace

Subject = nn.Module | Callable[[], nn.Module]


def trace(
    subject: Subject,
    shape: tuple[int, int, int, int],
    *,
    dtype: torch.dtype = torch.float32,
    layout: Literal["contiguous", "channels_last"] = "contiguous",
    mode: Literal["infer", "train"] = "infer",
) -> Trace:
    """Record one pass over an input of ``shape`` (N, C, H, W), without computing it.

    ``subject`` is a module, which is copied and never touched, or a function that builds one, which is then
    called among fake tensors so that not even its weights take memory. ``mode="infer"`` is a forward pass in
    eval mode without autograd; ``mode="train"`` is forward and backward in training mode, with gradients of
    parameters and input.

    The kernels are those that eager PyTorch dispatches to on the CPU. A module whose control flow depends on
    its data cannot run on fake tensors; it is then run for real, and the trace's ``note`` says so.

    Raises UserError if the output is not one four-dimensional tensor (N, C', H, W).
    """
    with torch.random.fork_rng(devices=[]):
        try:
            fake = FakeTensorMode(allow_non_fake_inputs=True)
            return _record(fake_module(subject, fake), fake, shape, dtype, layout, mode, note="")
        except (DataDependentOutputException, DynamicOutputShapeException):
            module = copy.deepcopy(subject) if isinstance(subject, nn.Module) else subject()
            note = "its control flow depends on data: recorded on real tensors"
            return _record(module, nullcontext(), shape, dtype, layout, mode, note)


def fake_module(subject: Subject, fake: FakeTensorMode) -> nn.Module:
    """The subject with fake weights: built so where it is a function, copied so where it is a module."""
    if not isinstance(subject, nn.Module):
        try:
            with fake:
                return subject()
        except (DataDependentOutputException, DynamicOutputShapeException):
            subject = subject()  # a constructor that reads values: build it for real, then copy
    with FakeCopyMode(fake):
        return copy.deepcopy(subject)


def _record(
    module: nn.Module,
    tensors: AbstractContextManager[Any],
    shape: tuple[int, int, int, int],
    dtype: torch.dtype,
    layout: str,
    mode: Literal["infer", "train"],
    note: str,
) -> Trace:
    train = mode == "train"
    memory_format = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    with tensors:
        _convert(module, dtype, memory_format)
        module.train(train)
        x = torch.empty(shape, dtype=dtype).contiguous(memory_format=memory_format).requires_grad_(train)
        if isinstance(tensors, nullcontext):
            x.data.normal_()
        given = [*module.parameters(), *module.buffers(), x]
        recorder = _Recorder(module, given)
        with recorder.recording(), torch.set_grad_enabled(train):
            y = module(x)
            _check_output(y, shape)
            saved = recorder.saved(y) if train else {}
            if train:
                upstream = torch.ones_like(y) if isinstance(tensors, nullcontext) else torch.empty_like(y)
                recorder.ignore(upstream)
                recorder.phase = "backward"
                y.backward(upstream)
    return Trace(
        shape=tuple(shape),
        output_shape=tuple(y.shape),
        dtype=str(dtype).removeprefix("torch."),
        layout=layout,
        mode=mode,
        params=sum(p.numel() for p in module.parameters()),
        ops=tuple(recorder.ops),
        events=tuple(recorder.events),
        saved=saved,
        note=note,
    )


def _convert(module: nn.Module, dtype: torch.dtype, memory_format: torch.memory_format) -> None:
    """``module.to`` for fake tensors, which torch cannot swap in place; tied weights stay tied."""
    done: dict[int, Tensor] = {}

    def convert(tensor: Tensor) -> Tensor:
        if id(tensor) not in done:
            to = dtype if tensor.is_floating_point() else tensor.dtype
            new = tensor.detach().to(to)
            if new.ndim == 4:
                new = new.contiguous(memory_format=memory_format)
            if isinstance(tensor, nn.Parameter):
                new = nn.Parameter(new, tensor.requires_grad)
            done[id(tensor)] = new
        return done[id(tensor)]

    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                part._parameters[name] = cast(nn.Parameter, convert(parameter))
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = convert(buffer)


def _check_output(y: object, shape: tuple[int, int, int, int]) -> None:
    wanted = f"one tensor (N={shape[0]}, C', H, W)"
    if not isinstance(y, Tensor):
        raise UserError(f"the module returned {type(y).__name__}; a context module returns {wanted}")
    if y.ndim != 4 or y.shape[0] != shape[0]:
        raise UserError(f"the module returned shape {tuple(y.shape)}; a context module returns {wanted}")


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operation below autograd, notes its cost, and follows each storage to its death."""

    def __init__(self, module: nn.Module, given: list[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.ops: list[Op] = []
        self.events: list[MemoryEvent] = []
        self.phase: Phase = "forward"
        self._paths = {id(m): path for path, m in module.named_modules()}
        self._stack = [""]
        self._since: list[int] = [0]  # autograd sequence numbers at which the innermost module changed ...
        self._during: list[str] = [""]  # ... and what it changed to
        self._given = {t.untyped_storage()._cdata for t in given}
        self._kept = [t.untyped_storage() for t in given]
        self._numbers: dict[int, int] = {}
        self._watch: dict[int, weakref.ref[Any]] = {}
        self._born = 0

    @contextmanager
    def recording(self) -> Iterator[None]:
        with ExitStack() as stack:
            stack.enter_context(self)
            enter, leave = (
                register_module_forward_pre_hook(self._enter),
                register_module_forward_hook(self._leave, always_call=True),
            )
            stack.callback(enter.remove)
            stack.callback(leave.remove)
            yield

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
        if self.phase == "forward":
            return self._stack[-1]
        node = torch._C._current_autograd_node()
        if node is None or "AccumulateGrad" in node.name():
            return ""
        return self._during[bisect_right(self._since, node._sequence_nr()) - 1]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func.namespace == "prim":
            return func(*args, **kwargs)
        if base_name(func) not in PRODUCTS:
            with self:  # a composite operation (they appear whole under inference mode) is its parts
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        out = func(*args, **kwargs)
        inputs = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        outputs = [t for t in tree_leaves(out) if isinstance(t, Tensor)]
        kind, macs, elementwise = cost(func, args, out)
        moved = 0 if kind == "view" or not outputs else sum(map(_bytes, inputs)) + sum(map(_bytes, outputs))
        if func._schema.name.startswith(("aten::empty", "aten::new_empty")):
            moved = 0
        self.ops.append(
            Op(
                name=str(func),
                module=self._where(),
                phase=self.phase,
                inputs=tuple(tuple(t.shape) for t in inputs),
                outputs=tuple(tuple(t.shape) for t in outputs),
                kind=kind,
                macs=macs,
                elementwise=elementwise,
                bytes=moved,
            )
        )
        for tensor in outputs:
            self._follow(tensor)
        return out

    def _follow(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._given or key in self._watch:
            return
        number, size = self._born, storage.nbytes()
        self._born += 1

        def died(_: Any) -> None:
            del self._watch[key], self._numbers[key]
            self.events.append(MemoryEvent(len(self.ops) - 1, number, -size))

        self._watch[key] = weakref.ref(storage, died)
        self._numbers[key] = number
        self.events.append(MemoryEvent(len(self.ops) - 1, number, size))

    def ignore(self, tensor: Tensor) -> None:
        """Take a storage that the measurement itself made out of the timeline."""
        key = tensor.untyped_storage()._cdata
        number = self._numbers.pop(key)
        del self._watch[key]
        self._given.add(key)
        self._kept.append(tensor.untyped_storage())
        self.events = [event for event in self.events if event.storage != number]

    def saved(self, output: Tensor) -> dict[int, int]:
        """Storages that the graph behind ``output`` holds for the backward pass."""
        found: dict[int, int] = {}
        seen: set[Any] = set()
        queue = [output.grad_fn]
        while queue:
            node = queue.pop()
            if node is None or node in seen:
                continue
            seen.add(node)
            queue += [following for following, _ in node.next_functions]
            names = [name for name in dir(node) if name.startswith("_saved_")]
            held = [getattr(node, name) for name in names] + list(getattr(node, "saved_tensors", ()))
            for tensor in tree_leaves(held):
                if isinstance(tensor, Tensor):
                    storage = tensor.untyped_storage()
                    if storage._cdata in self._numbers:
                        found[self._numbers[storage._cdata]] = storage.nbytes()
        return found


def _bytes(tensor: Tensor) -> int:
    """Bytes of the distinct elements: an expanded dimension is read once."""
    count = tensor.element_size()
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        count *= size if stride != 0 or size == 0 else 1
    return count
