"""What tables say of a batch that was chosen by the memory that it fits."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ctxbench.measure.records import Record, why_empty
from ctxbench.subject.axes import FIT, fit_bytes
from ctxbench.table.column import BYTES, MIB, Column, significant

FOUND = (
    "Largest batch: the largest N whose peak, predicted of eager execution above parameters and input, is "
    "within the memory; confirmed where the measured peak is so too"
)
GIVEN = "its batch was given"


def _peak(name: str, field: str, part: str, about: str, rank: int) -> Column[Record]:
    def value(record: Record) -> Any:
        peak = getattr(record.fit, field, None)
        return None if peak is None else peak / MIB

    return Column(name, "largest batch", value, part, "MiB", about, units=BYTES, why=_why, rank=rank)


def _why(record: Record) -> str:
    return record.fit.next_reason or record.reason if record.fit else GIVEN


def _confirmed(record: Record) -> str | None:
    """Whether the measured peak is within all of the memory that the batch was found for."""
    if record.fit is None or record.alloc_bytes is None:
        return None
    is_within = all(record.alloc_bytes <= fit_bytes(each) for each in record.fit.memory)
    return "yes" if is_within else f"no: {significant(record.alloc_bytes / MIB, 5)} MiB"


def _why_unconfirmed(record: Record) -> str:
    return why_empty("alloc_bytes", record) if record.fit else GIVEN


FITS: tuple[Column[Record], ...] = (
    Column(
        "fit_memory", "largest batch",
        lambda r: ", ".join(each.removeprefix(FIT) for each in r.fit.memory) if r.fit else None, "within",
        about="Memory whose largest batch was asked for.", kind="text",
        why=lambda _: GIVEN,
    ),
    _peak("fit_peak_mib", "peak_bytes", "at N", "Peak predicted of eager execution at the batch found.", 4),
    _peak("fit_next_mib", "next_bytes", "at N + 1", "The same at one more, which does not fit.", 1),
    Column(
        "fit_confirmed", "largest batch", _confirmed, "confirmed", kind="text", why=_why_unconfirmed, rank=2,
        about="Whether the measured peak of the device's allocator is within the memory too.",
    ),
)  # fmt: skip


def fits(records: Iterable[Record]) -> tuple[Column[Record], ...]:
    """Of batches that were found, where there are any."""
    return FITS if any(record.fit for record in records) else ()
