"""Record a module as a trace: below autograd, on fake tensors, so that no size costs memory or time."""

from __future__ import annotations

import copy
import weakref
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeCopyMode,
    FakeTensorMode,
)
from torch.autograd.graph import get_gradient_edge
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ctxbench.errors import UserError
from ctxbench.tracing.formulas import PRODUCTS, base_name, cost, workspace_bytes
from ctxbench.tracing.ops import MemoryEvent, Op, Phase, Trace

Subject = nn.Module | Callable[[], nn.Module]

DATA_DEPENDENT = (DataDependentOutputException, DynamicOutputShapeException)
"""What a module raises among fake tensors when it asks for a value."""


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
        except DATA_DEPENDENT:
            module = copy.deepcopy(subject) if isinstance(subject, nn.Module) else subject()
            note = "its control flow depends on data: recorded on real tensors"
            return _record(module, nullcontext(), shape, dtype, layout, mode, note)


def fake_module(subject: Subject, fake: FakeTensorMode) -> nn.Module:
    """The subject with fake weights: built so where it is a function, copied so where it is a module."""
    if not isinstance(subject, nn.Module):
        try:
            with fake:
                return subject()
        except DATA_DEPENDENT:
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
            output_shape = tuple(y.shape)
            saved: dict[int, int] = {}
            if train:
                upstream = torch.ones_like(y)
                recorder.ignore(upstream)
                edge, output = get_gradient_edge(y), recorder.number(y)
                del y  # what lives on without it is what the graph holds
                saved = recorder.alive()
                recorder.phase = "backward"
                torch.autograd.backward(edge, upstream)
                recorder.revive(output)  # in a real pass the caller keeps it
    return Trace(
        shape=tuple(shape),
        output_shape=output_shape,
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
        self._given = {t.untyped_storage()._cdata: t.untyped_storage() for t in given}
        self._live: dict[int, _Storage] = {}  # by address
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
        if self.phase == "forward" or len(self._stack) > 1:  # or a checkpoint, run again
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
        inputs = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        for tensor in inputs:
            self._accept(tensor)
        if base_name(func) not in PRODUCTS:
            with self:  # a composite operation (they appear whole under inference mode) is its parts
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        out = func(*args, **kwargs)
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
        if workspace := workspace_bytes(func, args):
            self._event(self._born, workspace)
            self._event(self._born, -workspace)
            self._born += 1
        for tensor in (*inputs, *outputs):
            self._follow(tensor)
        return out

    def _event(self, number: int, size: int) -> None:
        self.events.append(MemoryEvent(len(self.ops) - 1, number, size))

    def _accept(self, tensor: Tensor) -> None:
        """A storage that no operation made was there before: an attribute of the module that is no buffer."""
        storage = tensor.untyped_storage()
        if storage._cdata not in self._live:
            self._given[storage._cdata] = storage

    def _follow(self, tensor: Tensor) -> None:
        """Note the birth of a storage, or that it was resized, and watch for its death."""
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._given:
            return
        if known := self._live.get(key):
            if size != known.size:
                self._event(known.number, size - known.size)
                known.size = size
            return

        def died(_: Any) -> None:
            dead = self._live.pop(key)
            self._event(dead.number, -dead.size)

        self._live[key] = _Storage(self._born, size, weakref.ref(storage, died))
        self._event(self._born, size)
        self._born += 1

    def ignore(self, tensor: Tensor) -> None:
        """Take a storage that the measurement itself made out of the timeline."""
        storage = tensor.untyped_storage()
        number = self._live.pop(storage._cdata).number
        self._given[storage._cdata] = storage
        self.events = [event for event in self.events if event.storage != number]

    def number(self, tensor: Tensor) -> int | None:
        """The number of a tensor's storage; None where no operation made it."""
        known = self._live.get(tensor.untyped_storage()._cdata)
        return known.number if known else None

    def alive(self) -> dict[int, int]:
        """The storages that live now, number to bytes."""
        return {storage.number: storage.size for storage in self._live.values()}

    def revive(self, number: int | None) -> None:
        """Take back the death of a storage that the measurement itself dropped."""
        self.events = [event for event in self.events if event.storage != number or event.bytes > 0]


@dataclass
class _Storage:
    number: int
    size: int
    watch: weakref.ref[Any]


def _bytes(tensor: Tensor) -> int:
    """Bytes of the distinct elements: an expanded dimension is read once."""
    count = tensor.element_size()
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        count *= size if stride != 0 or size == 0 else 1
    return min(count, tensor.untyped_storage().nbytes())
