"""Table 10 beside what was measured: printed, the paper's convention, and one uniform convention.

The uniform convention is multiply–accumulates (MACs) of every convolution and matrix product, every call.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ctxbench.audit.quantity import prints_as
from ctxbench.measure.records import Record
from ctxbench.paper.offers.presets import NOTES, configurations
from ctxbench.paper.printed.table10 import PAPER_SHAPE, PrintedRow, printed, table10
from ctxbench.subject.case import Case

SUBJECT = "reconet"
BASELINE = "nonlocal"
FORMS = ("published", "fast")

REPRODUCED = "reproduced"
NOT_REPRODUCIBLE = "not reproducible"
NOT_MEASURED = "not measured"

T = TypeVar("T")


@dataclass(frozen=True)
class Comparison:
    """One row of Table 10, as printed and as measured.

    ``paper`` is :attr:`Record.leaf_rule`. ``published_macs`` and ``fast_macs`` are of one forward pass in the
    published and the fast form, ``published_ratio`` and ``fast_ratio`` these over TGM+TRM's. ``reason`` says
    why a row is not reproducible or not measured, ``note`` how the printed digits were decoded where the
    configuration alone does not say.
    """

    printed: PrintedRow
    paper: Mapping[str, Any]
    published_macs: int | None
    fast_macs: int | None
    published_ratio: float | None
    fast_ratio: float | None
    verdict: str
    reason: str = ""
    note: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def module(self) -> str:
        """The module's registry name."""
        return self.printed.module


def compare(records: Iterable[Record]) -> list[Comparison]:
    """Compare each module of Table 10 measured at the paper's shape and options, in the table's order."""
    records = list(records)
    matching = {row.module: [r for r in records if printed_for(r.case) == row] for row in table10().values()}
    subject = matching[SUBJECT]
    return [
        _comparison(row, matching[row.module], subject) for row in table10().values() if matching[row.module]
    ]


def printed_for(case: Case) -> PrintedRow | None:
    """The row of Table 10 that was printed for a case's module, shape and options, if there is one."""
    options = configurations(case.channels).get(case.module)
    return printed(case.module) if case.shape == PAPER_SHAPE and dict(case.options) == options else None


def _comparison(row: PrintedRow, records: Sequence[Record], subject: Sequence[Record]) -> Comparison:
    paper = next((r.leaf_rule for r in records if "gflops" in r.leaf_rule), records[0].leaf_rule)
    verdict, reason = _verdict(row, paper, records[0].reason)
    return Comparison(
        printed=row,
        paper=paper,
        published_macs=_published_macs(records),
        fast_macs=_fast_macs(records),
        published_ratio=ratio(_published_macs(records), _published_macs(subject)),
        fast_ratio=ratio(_fast_macs(records), _fast_macs(subject)),
        verdict=verdict,
        reason=reason,
        note=NOTES.get(row.module, ""),
        options=records[0].case.options,
    )


def _first(values: Iterable[T | None]) -> T | None:
    return next((value for value in values if value is not None), None)


def _published_macs(records: Sequence[Record]) -> int | None:
    return _first(record.published_macs for record in records)


def _fast_macs(records: Sequence[Record]) -> int | None:
    return _first(record.macs for record in records if record.case.implementation != "published")


def ratio(value: float | None, unit: float | None) -> float | None:
    """``value`` over ``unit``; None where either is missing or the unit is 0."""
    return value / unit if value is not None and unit else None


def _verdict(row: PrintedRow, paper: Mapping[str, Any], record_reason: str) -> tuple[str, str]:
    if paper.get("gflops") is None or paper.get("mib") is None:
        return NOT_MEASURED, paper.get("reason") or record_reason or "the paper's convention was not run"
    if prints_as(paper["gflops"], row.gflops) and prints_as(paper["mib"], row.mib):
        return REPRODUCED, ""
    last = _beside(row, "last call wins", paper["gflops"], paper["mib"])
    every = _beside(row, "every call", paper.get("every_call_gflops"), paper.get("every_call_mib"))
    return NOT_REPRODUCIBLE, "; ".join(filter(None, [f"printed {row.gflops} G / {row.mib} MiB", last, every]))


def _beside(row: PrintedRow, rule: str, gflops: float | None, mib: float | None) -> str:
    if gflops is None or mib is None:
        return ""
    which = {
        (True, True): "both fit",
        (True, False): "only the G fit",
        (False, True): "only the MiB fit",
        (False, False): "neither fits",
    }[prints_as(gflops, row.gflops), prints_as(mib, row.mib)]
    return f"{rule} gives {gflops:.2f} G / {mib:.2f} MiB ({which})"


def in_words(comparisons: Iterable[Comparison]) -> list[str]:
    """Say what the comparison means for the paper's claims, in plain sentences computed from it.

    A sentence whose numbers were not measured is left out.
    """
    rows = {c.module: c for c in comparisons}
    subject, baseline = rows.get(SUBJECT), rows.get(BASELINE)
    if subject is None:
        return []
    others = [c for c in rows.values() if c.module not in (SUBJECT, BASELINE)]
    sentences = [_last_call(subject)]
    if baseline is not None:
        sentences.append(_against_baseline(subject, baseline))
    if others:
        sentences.append(_against_others(subject, others))
    return [sentence for sentence in sentences if sentence]


def _last_call(subject: Comparison) -> str:
    paper, rank = subject.paper, subject.options.get("rank")
    repeated: Mapping[str, int] = paper.get("repeated", {})
    if rank is None or not repeated or "every_call_gflops" not in paper or subject.verdict != REPRODUCED:
        return ""
    leaves = paper.get("leaves", {})
    leaf = max(repeated, key=lambda path: leaves.get(path, (0,))[0])
    return (
        f"{subject.printed.label}'s printed {subject.printed.gflops} G (the paper's convention) counts one "
        f"of the {repeated[leaf]} calls of the leaf {leaf}, of which each of the {rank} ranks makes "
        f"{repeated[leaf] / rank:g}. Every call counted, the same convention gives "
        f"{paper['every_call_gflops']:.3f} G and {paper['every_call_mib']:.0f} MiB."
    )


def _printed_ratio(row: PrintedRow, subject: PrintedRow) -> float:
    return float(row.gflops) / float(subject.gflops)


def _against_baseline(subject: Comparison, baseline: Comparison) -> str:
    if baseline.published_ratio is None or baseline.fast_ratio is None:
        return ""
    claimed = float(f"{_printed_ratio(baseline.printed, subject.printed):.1g}")
    return (
        f"The paper's claim of {claimed:.0f}× less than {baseline.printed.label} "
        f"({baseline.printed.gflops} G over {subject.printed.gflops} G, its own convention) is about "
        f"{baseline.published_ratio:.0f}× under one uniform convention (MACs of every convolution and matrix "
        f"product, every call): {baseline.published_ratio:.1f}× in the published implementations "
        f"({_giga(baseline.published_macs, 4)} over {_giga(subject.published_macs, 5)} GMACs), "
        f"{baseline.fast_ratio:.1f}× in the fast ones "
        f"({_giga(baseline.fast_macs, 4)} over {_giga(subject.fast_macs, 5)} GMACs)."
    )


def _giga(count: int | None, decimals: int) -> str:
    return f"{(count or 0) / 1e9:.{decimals}f}"


def _against_others(subject: Comparison, others: Sequence[Comparison]) -> str:
    published = [c.published_ratio for c in others if c.published_ratio is not None]
    fast = [c.fast_ratio for c in others if c.fast_ratio is not None]
    if not published or not fast:
        return ""
    claimed = float(f"{min(_printed_ratio(c.printed, subject.printed) for c in others):.1g}")
    labels = ", ".join(c.printed.label for c in others)
    return (
        f"Its claim of more than {claimed:.0f}× less than the others ({labels}) is "
        f"{min(published):.0f}–{max(published):.0f}× in GMACs of the published implementations and "
        f"{min(fast):.0f}–{max(fast):.0f}× in those of the fast ones, by the same uniform convention."
    )
