"""Record a module as a trace: below autograd, on fake tensors, so that no size costs memory or time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor

from ctxbench.errors import UserError, in_one_line, is_out_of_memory
from ctxbench.sandbox.child import in_child
from ctxbench.sandbox.fake import (
    DATA_DEPENDENT,
    NeedsDataError,
    Subject,
    copy_module,
    fake_module,
    fake_tensors,
    is_uninitialised,
    undisturbed,
)
from ctxbench.sandbox.host import available_bytes
from ctxbench.subject.interface import PLAIN, Interface
from ctxbench.tracing.estimate import guessed_values
from ctxbench.tracing.formulas.registry import load_entry_points
from ctxbench.tracing.lifetimes import tensor_bytes
from ctxbench.tracing.one_pass import Pass, Recording
from ctxbench.tracing.ops import Trace

__all__ = ["DATA_DEPENDENT", "Subject", "trace"]


def trace(
    subject: Subject,
    shape: tuple[int, int, int, int],
    *,
    dtype: torch.dtype = torch.float32,
    layout: Literal["contiguous", "channels_last"] = "contiguous",
    mode: Literal["infer", "train"] = "infer",
    interface: Interface = PLAIN,
) -> Trace:
    """Record one pass over a map of ``shape`` (N, C, H, W), without computing it.

    ``interface`` says how the map is given to the module, and which of its outputs is looked at.

    ``subject`` is a module, which is copied and never touched, or a function that builds one, which is then
    called among fake tensors so that not even its weights take memory. ``mode="infer"`` is a forward pass in
    eval mode without autograd; ``mode="train"`` is forward and backward in training mode, with gradients of
    parameters and input.

    The kernels are those that eager PyTorch dispatches to on the CPU; compiled parts are recorded as what
    they were compiled from. A module that fails on fake tensors (its control flow depends on its data, it
    goes through numpy, an operation has no fake kernel) is run for real, in a process of its own, where the
    memory for that is there; the trace's ``tensors`` and ``note`` say so.

    Raises UserError if there is no such output, or it is no tensor; if real tensors would not fit into
    memory, with an estimate in bytes; if the process that ran it crashed. Whatever the module itself raises
    comes through.
    """
    load_entry_points()
    wanted = Pass(shape, dtype, layout, mode, interface)
    with undisturbed():
        try:
            return _on_fake_tensors(subject, wanted)
        except UserError:
            raise
        except Exception as error:
            failure = error
        if isinstance(torch.empty(0), FakeTensor):  # fake tensors are on around this call: none are real here
            raise failure
        return _in_child(subject, wanted, failure)


def _on_fake_tensors(subject: Subject, wanted: Pass) -> Trace:
    fake = fake_tensors()
    module = fake_module(subject, fake, wanted.shape)
    with fake:
        return Recording(module, wanted).run()


def _in_child(subject: Subject, wanted: Pass, failure: Exception) -> Trace:
    """Record on real tensors, in a process of its own; ``failure`` is why fake ones do not do."""
    reason = _reason(failure)
    try:
        need = in_child(partial(_estimate, subject, wanted))
    except UserError:  # with guessed values it crashes; with true ones it may not
        need = Estimate(0, complete=False)
    if need.bytes > (available := available_bytes()):
        raise UserError(
            f"on real tensors it would take {need}, and {available:,} are available "
            f"(on fake ones it fails: {reason})"
        ) from failure
    try:
        return in_child(partial(_on_real_tensors, subject, wanted, f"recorded on real tensors: {reason}"))
    except Exception as error:
        if is_out_of_memory(error):
            raise UserError(
                f"on real tensors it takes more memory than there is; {need} estimated"
            ) from error
        raise error from failure


def _reason(failure: Exception) -> str:
    if isinstance(failure, NeedsDataError):
        return str(failure)
    return "its control flow depends on data" if isinstance(failure, DATA_DEPENDENT) else in_one_line(failure)


def _on_real_tensors(subject: Subject, wanted: Pass, note: str) -> Trace:
    module = copy_module(subject) if isinstance(subject, nn.Module) else subject()
    if is_uninitialised(module):
        with torch.no_grad():
            given = wanted.interface.given(module, wanted.shape, lambda shape, _: torch.randn(shape))
            module(*given.args, **given.kwargs)
    recorded = Recording(module, wanted).run()
    return replace(recorded, tensors="real", note="; ".join(filter(None, (note, recorded.note))))


@dataclass(frozen=True)
class Estimate:
    """Bytes a pass takes, weights and input among them; ``complete`` where it was followed to its end."""

    bytes: int
    complete: bool

    def __str__(self) -> str:
        return f"{'about' if self.complete else 'at least'} {self.bytes:,} bytes"


def _estimate(subject: Subject, wanted: Pass) -> Estimate:
    """What real tensors would take: of as much of the pass as can be followed with values guessed."""
    fake = fake_tensors()
    try:
        module = fake_module(subject, fake, wanted.shape)
    except Exception:  # it fails on real tensors too, or cannot be followed at all
        return Estimate(0, complete=False)
    recording, complete = Recording(module, wanted), True
    try:
        with fake, guessed_values():
            recording.run()
    except Exception:  # followed as far as that
        complete = False
    peak = recording.recorder.memory.peak() if recording.recorder else 0
    given = (*module.parameters(), *module.buffers())
    weights = sum(tensor_bytes(tensor) for tensor in given if tensor.layout == torch.strided)
    size = torch.empty((), dtype=wanted.dtype).element_size()
    return Estimate(weights + size * torch.Size(wanted.shape).numel() + peak, complete)
