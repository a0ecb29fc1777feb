"""The largest batch whose predicted peak of memory fits, found by tracing.

The peak is that of the tables: live storages above parameters and input, the output among them, of eager
execution in the case's mode, form and dtype. It is not assumed to grow evenly with the batch: what is found
was traced, there and at one more.
"""

from collections.abc import Callable
from dataclasses import replace
from math import isqrt

from ctxbench.measure.records import Fit
from ctxbench.subject.axes import FIT, fit_bytes
from ctxbench.subject.case import MAX_INPUT_BYTES, Case
from ctxbench.tracing import NotCounted, count_case, views

Peak = int | str
"""Bytes, or in words why there are none."""


def largest_batch(case: Case, progress: Callable[[], None]) -> Fit:
    """Find it for a case that has its memory in ``fit``; ``progress`` is called after each trace."""

    def peak(batch: int) -> Peak:
        answer = count_case(replace(case, batch=batch, fit=""))
        progress()
        if isinstance(answer, NotCounted):
            return answer.reason
        return views.peak_bytes(answer, views.block_of(case.device))

    return search(peak, case.fit, most=(MAX_INPUT_BYTES - 1) // case.input_bytes)


def search(peak: Callable[[int], Peak], fit: str, most: int) -> Fit:
    """A batch whose ``peak`` fits where that of one more does not, or cannot be had; ``most`` is the limit.

    ``fit`` is ``fit:`` and the memory. A line through the two peaks nearest to that says where to look next.
    Where there is none, and every second time where it does not settle it at once, the batch is doubled, or
    what is left halved on a logarithmic scale.
    """
    memory = fit_bytes(fit)
    known: dict[int, Peak] = {}

    def fits(batch: int) -> bool:
        known[batch] = found = peak(batch)
        return not isinstance(found, str) and found <= memory

    # where one cannot be counted, two may: batch norms train on several values alone
    if not fits(1) and (isinstance(known[1], int) or most < 2 or not fits(2)):
        return _nothing(fit, known)
    low, high = max(known), most + 1  # low fits, and high does not or is too many
    while high - low > 1:
        guess = min(2 * low, isqrt(low * high))
        by_line = len(known) <= 2 or len(known) % 2  # every second time: along a curve, lines creep
        if by_line and not isinstance(known.get(high), str):
            line = _on_line(known, memory)
            guess = guess if line is None else line
        batch = min(max(guess, low + 1), high - 1)
        low, high = (batch, high) if fits(batch) else (low, batch)
    peak_bytes, beyond = known[low], known.get(high)
    assert isinstance(peak_bytes, int)
    if beyond is None:
        reason = (
            f"{fit.removeprefix(FIT)} limits no batch: N = {low}, the most that an input of less than "
            f"{MAX_INPUT_BYTES // 2**30} GiB holds, is predicted to take {_mib(peak_bytes)}"
        )
        return Fit((fit,), status="error", reason=reason)
    if isinstance(beyond, str):
        return Fit((fit,), low, peak_bytes, next_reason=beyond)
    return Fit((fit,), low, peak_bytes, beyond)


def _nothing(fit: str, known: dict[int, Peak]) -> Fit:
    """Why no batch fits: the smallest that can be counted takes more, or none can be."""
    memory = fit.removeprefix(FIT)
    batch, found = max(known.items())
    if isinstance(found, int):
        reason = f"no batch fits {memory}: N = {batch} is predicted to take {_mib(found)}"
        return Fit((fit,), status="oom", reason=reason)
    return Fit((fit,), status="error", reason=f"no batch was found that fits {memory}: {known[1]}")


def _mib(size: int) -> str:
    mib = size / 2**20
    return f"{mib:.2f} MiB" if mib >= 1 else f"{mib:.3g} MiB"


def _on_line(known: dict[int, Peak], memory: int) -> int | None:
    """The last batch that fits by a line through the two peaks nearest to the memory; None where all are one.

    Whole numbers throughout: peaks in bytes, over batches.
    """
    peaks = [(found, batch) for batch, found in known.items() if isinstance(found, int)]
    (peak, batch), *others = sorted(peaks, key=lambda known: abs(known[0] - memory))
    for other_peak, other_batch in others:
        if other_peak != peak:
            return batch + (memory - peak) * (other_batch - batch) // (other_peak - peak)
    return None
