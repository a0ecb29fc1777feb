"""The orders O(·) and the rank that section 4 claims, as a sheet: counted, never timed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple

from ctxbench.paper.comparison import BASELINE, FORMS, REPRODUCED, SUBJECT
from ctxbench.paper.offers.presets import TABLE10
from ctxbench.paper.printed.table10 import PAPER_SHAPE
from ctxbench.paper.sheet import DIFFERS, Sheet
from ctxbench.paper.tables.table10 import RANK
from ctxbench.report.growth import Growth, title_of
from ctxbench.report.sweep import sweep
from ctxbench.subject import registry
from ctxbench.subject.case import Case
from ctxbench.table.column import Column, frame, lay_out, raw, significant
from ctxbench.tracing import trace_case

TITLE = "Orders of growth and rank claimed in section 4, counted"
SIZES = (32, 64, 128, 256)
CHANNELS = (128, 256, 512, 1024)
RANKS = (16, 32, 64, 128)
SCALES = (Fraction(1, 4), Fraction(1, 2), Fraction(1), Fraction(2))
"""What C, H, W and the rank of the paper's shape are multiplied by where all grow together."""
GENERATORS = ("channel", "height", "width")
"""The parts of TGM+TRM that are its TGM."""


@dataclass(frozen=True)
class Claimed:
    """A claim of section 4 about a subject, and what was counted for it: an exponent, ratios, or a rank.

    ``exponent`` with the ends of its interval, ``last_exponent`` between the last two points and
    ``claimed_exponent`` are over the ``axis``, which is ``letter`` in the O(·). ``ratios`` are MACs over the
    claimed expression, the least shape first. ``rank_lo`` and ``rank_hi`` are the least and the greatest that
    almost every tensor can have. ``range`` says where it was counted. An exponent has no verdict.
    """

    subject: str
    claimed: str
    axis: str
    range: str
    verdict: str = ""
    reason: str = ""
    letter: str | None = None
    form: str | None = None
    exponent: float | None = None
    ci_lo: float | None = None
    ci_hi: float | None = None
    last_exponent: float | None = None
    claimed_exponent: float | None = None
    ratios: str | None = None
    rank_lo: int | None = None
    rank_hi: int | None = None


def _interval(row: Claimed) -> str | None:
    return None if row.ci_lo is None or row.ci_hi is None else f"{row.ci_lo:.2f} to {row.ci_hi:.2f}"


COLUMNS: tuple[Column[Claimed], ...] = (
    Column("subject", "subject", lambda row: row.subject, kind="text"),
    Column("claimed", "claimed", lambda row: row.claimed, kind="text"),
    Column("form", "form", lambda row: row.form, kind="text"),
    Column("axis", "grows with", lambda row: row.axis, kind="text"),
    raw("letter", lambda row: row.letter, "text"),
    Column("exponent", "exponent", lambda row: row.exponent, "fitted", "1", digits=3),
    Column("interval", "exponent", _interval, "95 % interval", "1", kind="text", in_frame=False),
    raw("ci_lo", lambda row: row.ci_lo),
    raw("ci_hi", lambda row: row.ci_hi),
    Column("last_exponent", "exponent", lambda row: row.last_exponent, "last two", "1", digits=3),
    Column("claimed_exponent", "exponent", lambda row: row.claimed_exponent, "claimed", "1", digits=1),
    raw("range", lambda row: row.range, "text"),
    Column("ratios", "MACs ÷ claimed", lambda row: row.ratios, unit="×", kind="text"),
    Column(
        "verdict", "verdict", lambda row: row.verdict or None, kind="text",
        note=lambda row: f"{row.reason}." if row.reason else "",
    ),
    raw("reason", lambda row: row.reason, "text"),
    raw("rank_lo", lambda row: row.rank_lo, "int"),
    raw("rank_hi", lambda row: row.rank_hi, "int"),
)  # fmt: skip


def growth(*, source: str) -> Sheet:
    """Count TGM+TRM, its stages and Non-Local as their letters grow, together and each alone; and the rank.

    ``source`` is the sheet's origin.
    """
    rows = [*_together(), *_alone(), _rank()]
    title = f"{TITLE} · around input {'×'.join(map(str, PAPER_SHAPE))}, rank {RANK}"
    grid = lay_out(title, COLUMNS, [("", rows)])
    grid.notes.append(
        "MACs of every convolution and matrix product, every call. An order O(·) is reproduced where, in the "
        "published form, MACs over the expression do not rise as all its letters grow together, in the "
        "proportions of the paper's shape. Where one letter grows alone, terms that the expression leaves "
        "out may lead, so that exponents are shown and not judged. Exponents: least squares on log-log, with "
        "Student's interval of the slope; the counts have no noise, so that the interval says how far they "
        "are from a power law. Rank: tensors of rank R or less have at most R·(C + H + W − 2) parameters, so "
        "that almost no X has a rank under CHW over that; none has one above the least of HW, CW and CH."
    )
    return Sheet("growth", TITLE, grid, frame(COLUMNS, rows), source)


def _case(module: str, form: str, **changed: Any) -> Case:
    _, channels, height, width = PAPER_SHAPE
    options = TABLE10.row(module).options(changed.get("channels", channels))
    case = Case(module, channels, height, width, options=options, implementation=form)
    return replace(case, **changed)


class Shape(NamedTuple):
    """What an O(·) is of: channels, height, width and rank."""

    c: int
    h: int
    w: int
    r: int


class Order(NamedTuple):
    """A subject with the expression in its claimed O(·), for as many calls as its MACs are of."""

    subject: str
    claimed: str
    module: str
    expression: Callable[[Shape], int]
    in_tgm: bool | None = None
    """Whether its MACs are those of the generators alone, or all others; None for all."""


ORDERS = (
    Order("TGM+TRM", "O(rCHW)", SUBJECT, lambda s: s.r * s.c * s.h * s.w),
    Order("Non-Local", "O(CH²W²)", BASELINE, lambda s: s.c * s.h**2 * s.w**2),
    Order("TGM, one rank", "O(C²+H²+W²)", SUBJECT, lambda s: s.r * (s.c**2 + s.h**2 + s.w**2), in_tgm=True),
    Order("TRM, one rank", "O(CHW)", SUBJECT, lambda s: s.r * s.c * s.h * s.w, in_tgm=False),
)


def _together() -> Iterator[Claimed]:
    """A row for each claimed order and form: MACs over the expression, shape by shape."""
    shapes = [Shape(*(int(scale * length) for length in (*PAPER_SHAPE[1:], RANK))) for scale in SCALES]
    ends = " to ".join(f"{s.c}×{s.h}×{s.w}, rank {s.r}" for s in (shapes[0], shapes[-1]))
    counted = {
        (module, form): [_macs(module, form, shape) for shape in shapes]
        for module in (SUBJECT, BASELINE)
        for form in FORMS
    }
    for order in ORDERS:
        for form in FORMS:
            ratios = [
                Fraction(_of_stage(macs, order.in_tgm), order.expression(shape))
                for shape, macs in zip(shapes, counted[order.module, form], strict=True)
            ]
            rises = any(later > earlier for earlier, later in pairwise(ratios))
            yield Claimed(
                subject=order.subject,
                claimed=order.claimed,
                axis="C, H, W, r together",
                range=ends,
                verdict=DIFFERS if rises else REPRODUCED,
                form=form,
                ratios=", ".join(significant(float(ratio), 3) for ratio in ratios),
            )


def _macs(module: str, form: str, shape: Shape) -> dict[bool, int]:
    """MACs of a module at a shape: in the generators (True), and in all else."""
    case = _case(module, form, channels=shape.c, height=shape.h, width=shape.w)
    if module == SUBJECT:
        case = replace(case, options={"rank": shape.r})
    macs = {True: 0, False: 0}
    for op in trace_case(case).ops:
        macs[op.module.partition(".")[0] in GENERATORS] += op.macs
    return macs


def _of_stage(macs: dict[bool, int], in_tgm: bool | None) -> int:
    return sum(macs.values()) if in_tgm is None else macs[in_tgm]


def _alone() -> Iterator[Claimed]:
    """A row for each module, form, and letter of its claimed order that grows while the others stand."""
    for module in (SUBJECT, BASELINE):
        for form in FORMS:
            lines: list[Sequence[Case]] = [
                [_case(module, form, height=side, width=side) for side in SIZES],
                [_case(module, form, channels=c) for c in CHANNELS],
            ]
            if module == SUBJECT:
                lines.append([_case(module, form, options={"rank": rank}) for rank in RANKS])
            for cases in lines:
                swept = sweep(cases)
                yield from (_exponent(swept.axis, each) for each in swept.growths if each.quantity == "gmacs")


def _exponent(axis: str, growth: Growth) -> Claimed:
    spec = registry.spec(growth.case.module)
    words, letter = title_of(axis)
    return Claimed(
        subject=spec.title if spec else growth.case.module,
        claimed=spec.complexity if spec else "",
        axis=f"{words.removeprefix('option ')} alone",
        letter=letter,
        exponent=growth.slope,
        ci_lo=growth.low,
        ci_hi=growth.high,
        last_exponent=growth.last,
        claimed_exponent=growth.claimed,
        form=growth.case.implementation,
        range=_range(axis, growth),
    )


def _range(axis: str, growth: Growth) -> str:
    """The ends of a sweep, and what stood still: ``128 to 1024, at 64×64, rank 64``."""
    case, ends = growth.case, [f"{x:g}" for x in (growth.x[0], growth.x[-1])]
    fixed = {"channels": f"C {case.channels}", "size": f"{case.height}×{case.width}", "rank": ""}
    if rank := case.options.get("rank"):
        fixed["rank"] = f"rank {rank}"
    at = ", ".join(words for name, words in fixed.items() if words and name != axis)
    return f"{' to '.join(ends)}, at {at}"


def _rank() -> Claimed:
    """The ranks that almost every tensor of the paper's shape lies between, by counting dimensions."""
    _, *sides = PAPER_SHAPE
    low = math.ceil(Fraction(math.prod(sides), sum(sides) - 2))
    high = math.prod(sides) // max(sides)
    shape = "×".join(map(str, sides))
    return Claimed(
        subject="rank of X",
        claimed=str(RANK),
        axis="almost every tensor",
        rank_lo=low,
        rank_hi=high,
        range=shape,
        verdict=DIFFERS if low > RANK else REPRODUCED,
        reason=f"almost every X of {shape} has a rank of {low:,} at least, and none has one above {high:,}",
    )
