"""What of a run is its part's: the calls, the parameters, and the memory of storages that the part made.

A part is named by the first name of its paths; after a ``-`` it is everything but that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ctxbench.audit.counting.aspects import Held, Seen, of_leaves
from ctxbench.audit.counting.tools import OPERATIONS
from ctxbench.audit.counting.work import Parameters
from ctxbench.tracing import views
from ctxbench.tracing.ops import INSIDE, Trace

MAX_PARTS = 6
"""Of a network, that are counted by themselves: a stack of layers has more, and means nothing by one."""


def parts(seen: Seen) -> list[str]:
    """The parts that a network is counted without, or alone: those of the first level with products."""
    names = dict.fromkeys(call.path.partition(".")[0] for call in seen.calls if call.macs)
    return [sign + name for name in names for sign in ("", "-")] if 1 < len(names) <= MAX_PARTS else []


def of_part(seen: Seen, part: str) -> Seen:
    """What a counter sees of a part. Of its input nothing is known."""
    calls = [call for call in seen.calls if _is_of(part, call.path)]
    own = replace(
        seen, calls=calls, input_bytes=None, parameters=_parameters(seen, part), held=held(seen.traces, part)
    )
    return own if seen.view == OPERATIONS else of_leaves(own, calls)


def held(traces: Sequence[Trace], part: str = "") -> Held:
    """The memory of a pass in inference and, if there, of one in training; or of what a part of them made."""
    infer, train, *_ = [*(_only(trace, part) if part else trace for trace in traces), None, None]
    block = views.CUDA_BLOCK
    return Held(
        allocated=_allocated(infer) if infer else None,
        peak_infer=views.peak_bytes(infer) if infer else None,
        peak_train=views.peak_bytes(train) if train else None,
        peak_infer_on_cuda=views.peak_bytes(infer, block) if infer else None,
        peak_train_on_cuda=views.peak_bytes(train, block) if train else None,
        saved=views.saved_bytes(train) if train else None,
    )


def _allocated(trace: Trace) -> int:
    return sum(event.bytes for event in trace.events if event.bytes > 0 and event.storage != INSIDE)


def _is_of(part: str, path: str) -> bool:
    return (path.partition(".")[0] == part.removeprefix("-")) != part.startswith("-")


def _parameters(seen: Seen, part: str) -> Parameters:
    own = seen.parameters_by_part[part.removeprefix("-")]
    if not part.startswith("-"):
        return own
    return Parameters(*(all - without for all, without in zip(seen.parameters, own, strict=True)))


def _only(trace: Trace, part: str) -> Trace:
    """A pass with the storages alone that operations of a part made."""
    made: dict[int, bool] = {}
    events = []
    for event in trace.events:
        is_own = _is_of(part, trace.ops[event.op].module)
        if is_own if event.storage == INSIDE else made.setdefault(event.storage, is_own):
            events.append(event)
    saved = {storage: size for storage, size in trace.saved.items() if made.get(storage)}
    return replace(trace, events=tuple(events), saved=saved)
