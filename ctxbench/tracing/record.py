"""Record a module as a trace: below autograd, on fake tensors, so that no size costs memory or time."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge

from ctxbench.errors import UserError, in_one_line
from ctxbench.tracing.child import in_child
from ctxbench.tracing.estimate import guessed_values
from ctxbench.tracing.fake import (
    DATA_DEPENDENT,
    Subject,
    convert,
    copy_module,
    fake_module,
    fake_tensors,
    is_uninitialised,
    undisturbed,
)
from ctxbench.tracing.formulas.registry import load_entry_points
from ctxbench.tracing.host import available_bytes
from ctxbench.tracing.lifetimes import tensor_bytes
from ctxbench.tracing.ops import Trace
from ctxbench.tracing.recorder import Recorder
from ctxbench.tracing.views import peak_bytes

__all__ = ["DATA_DEPENDENT", "Subject", "fake_module", "trace"]

CLONED = "its first layer works in place, which autograd forbids on its input: given a clone of it"


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

    The kernels are those that eager PyTorch dispatches to on the CPU; compiled parts are recorded as what
    they were compiled from. A module that fails on fake tensors (its control flow depends on its data, it
    goes through numpy, an operation has no fake kernel) is run for real, in a process of its own, where the
    memory for that is there; the trace's ``tensors`` and ``note`` say so.

    Raises UserError if the output is not one four-dimensional tensor (N, C', H, W); if real tensors would
    not fit into memory, with an estimate in bytes; if the process that ran it crashed. Whatever the module
    itself raises comes through.
    """
    load_entry_points()
    wanted = _Pass(shape, dtype, layout, mode)
    with undisturbed():
        try:
            return _on_fake_tensors(subject, wanted)
        except UserError:
            raise
        except Exception as error:
            failure = error
        note = f"recorded on real tensors: {_reason(failure)}"
        try:
            need = _estimate(subject, wanted)
            if need.bytes > (available := available_bytes()):
                raise UserError(
                    f"on real tensors it would take {need} and {available:,} are available "
                    f"(fake ones do not do: {_reason(failure)})"
                )
            return in_child(partial(_on_real_tensors, subject, wanted, note))
        except UserError as error:
            raise error from failure
        except Exception as error:
            raise _memory_error(error, need) from failure


@dataclass(frozen=True)
class _Pass:
    """What is to be recorded."""

    shape: tuple[int, int, int, int]
    dtype: torch.dtype
    layout: Literal["contiguous", "channels_last"]
    mode: Literal["infer", "train"]

    @property
    def memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.layout == "channels_last" else torch.contiguous_format


@dataclass(frozen=True)
class _Estimate:
    """Bytes a pass takes, weights and input among them; ``complete`` where it was followed to its end."""

    bytes: int
    complete: bool

    def __str__(self) -> str:
        return f"{'about' if self.complete else 'at least'} {self.bytes:,} bytes"


def _reason(error: Exception) -> str:
    return "its control flow depends on data" if isinstance(error, DATA_DEPENDENT) else in_one_line(error)


def _memory_error(error: Exception, need: _Estimate) -> Exception:
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return UserError(f"on real tensors it takes more than there is ({need} were estimated)")
    return error


def _on_fake_tensors(subject: Subject, wanted: _Pass) -> Trace:
    fake = fake_tensors()
    return _record(fake_module(subject, fake, wanted.shape), fake, wanted)


def _on_real_tensors(subject: Subject, wanted: _Pass, note: str) -> Trace:
    module = copy_module(subject) if isinstance(subject, nn.Module) else subject()
    if is_uninitialised(module):
        with torch.no_grad():
            module(torch.randn(wanted.shape))
    recorded = _record(module, nullcontext(), wanted)
    notes = "; ".join(filter(None, (note, recorded.note)))
    return replace(recorded, tensors="real", note=notes)


def _estimate(subject: Subject, wanted: _Pass) -> _Estimate:
    """What real tensors would take: of as much of the pass as can be followed with values guessed."""
    fake = fake_tensors()
    try:
        module = fake_module(subject, fake, wanted.shape)
    except Exception:  # it will fail on real tensors too, or cannot be followed at all
        return _Estimate(0, complete=False)
    recorders: list[Recorder] = []
    try:
        recorded = _record(module, fake, wanted, guessed_values(), recorders)
    except Exception:
        peak, complete = recorders[-1].memory.peak() if recorders else 0, False
    else:
        peak, complete = peak_bytes(recorded), True
    weights = sum(map(tensor_bytes, (*module.parameters(), *module.buffers())))
    size = torch.empty((), dtype=wanted.dtype).element_size()
    return _Estimate(weights + size * int(torch.Size(wanted.shape).numel()) + peak, complete)


def _record(
    module: nn.Module,
    tensors: AbstractContextManager[Any],
    wanted: _Pass,
    guesses: AbstractContextManager[Any] | None = None,
    recorders: list[Recorder] | None = None,
) -> Trace:
    """Prepare module and input, and run them; once more with a clone where the input may not be changed."""
    train = wanted.mode == "train"
    with tensors, guesses or nullcontext():
        convert(module, wanted.dtype, wanted.memory_format)
        module.train(train)
        x = torch.empty(wanted.shape, dtype=wanted.dtype)
        if isinstance(tensors, nullcontext):
            x.normal_()
        x = x.contiguous(memory_format=wanted.memory_format).requires_grad_(train)
        try:
            return _run(module, x, x, wanted, recorders)
        except RuntimeError as error:
            if not (train and "leaf Variable that requires grad" in str(error)):
                raise
        return replace(_run(module, x, x.clone(), wanted, recorders), note=CLONED)


def _run(
    module: nn.Module, x: Tensor, given: Tensor, wanted: _Pass, recorders: list[Recorder] | None
) -> Trace:
    """Run the module on ``given``, the leaf ``x`` or a clone of it, forward and in training backward."""
    train = wanted.mode == "train"
    recorder = Recorder(module, [*module.parameters(), *module.buffers(), x, given])
    if recorders is not None:
        recorders.append(recorder)
    saved: dict[int, int] = {}
    with recorder.recording(train), torch.set_grad_enabled(train):
        y = module(given)
        _check_output(y, wanted.shape)
        output_shape = tuple(y.shape)
        if train:
            upstream = torch.ones_like(y)
            recorder.memory.ignore(upstream)
            edge, output = get_gradient_edge(y), recorder.memory.number(y)
            del y  # autograd holds what it needs of the output; the recording must not hold more
            saved = recorder.memory.saved()
            recorder.phase = "backward"
            torch.autograd.backward(edge, upstream)
            recorder.memory.revive(output)  # in a real pass the caller keeps it
    return Trace(
        shape=tuple(wanted.shape),
        output_shape=output_shape,
        dtype=str(wanted.dtype).removeprefix("torch."),
        layout=wanted.layout,
        mode=wanted.mode,
        params=sum(p.numel() for p in module.parameters()),
        ops=tuple(recorder.ops),
        events=tuple(recorder.memory.events),
        saved=saved,
    )


def _check_output(y: object, shape: tuple[int, int, int, int]) -> None:
    wanted = f"one tensor (N={shape[0]}, C', H, W)"
    if not isinstance(y, Tensor):
        raise UserError(f"the module returned {type(y).__name__}; a context module returns {wanted}")
    if y.ndim != 4 or y.shape[0] != shape[0]:
        raise UserError(f"the module returned shape {tuple(y.shape)}; a context module returns {wanted}")
