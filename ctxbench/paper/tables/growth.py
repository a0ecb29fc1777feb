"""The orders O(·) and the rank that section 4 claims, as a sheet: counted, never timed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ctxbench.paper.claims.answer import span
from ctxbench.paper.comparison import BASELINE, REPRODUCED, SUBJECT
from ctxbench.paper.offers.presets import TABLE10
from ctxbench.paper.printed.table10 import PAPER_SHAPE
from ctxbench.paper.sheet import DIFFERS, Sheet
from ctxbench.paper.tables.table10 import RANK
from ctxbench.report.growth import AS_CLAIMED, TOWARDS, Growth, title_of
from ctxbench.report.sweep import sweep
from ctxbench.subject import registry
from ctxbench.subject.case import Case
from ctxbench.table.column import Column, frame, lay_out, raw
from ctxbench.tracing import trace_case

TITLE = "Orders of growth and rank claimed in section 4, counted"
SIZES = (32, 64, 128, 256)
CHANNELS = (128, 256, 512, 1024)
RANKS = (16, 32, 64, 128)
STAGES = {"TGM": "O(C²+H²+W²)", "TRM": "O(CHW)"}
"""What the paper says each stage costs for one rank-1 tensor."""
NEAR = 0.1
"""How far from the claim the slope between the last two points may be for the claim to be reproduced."""
GENERATORS = ("channel", "height", "width")
"""The parts of TGM+TRM that are its TGM."""


@dataclass(frozen=True)
class Claimed:
    """A claim of section 4 about a subject, and what was counted for it: an exponent, ratios, or a rank.

    ``exponent`` with the ends of its interval, ``last_exponent`` between the last two points and
    ``claimed_exponent`` are over the ``axis``, which is ``letter`` in the O(·). ``ratio_lo`` to ``ratio_hi``
    are MACs over the claimed expression. ``range`` says where it was counted.
    """

    subject: str
    claimed: str
    axis: str
    range: str
    verdict: str
    reason: str = ""
    letter: str | None = None
    form: str | None = None
    exponent: float | None = None
    ci_lo: float | None = None
    ci_hi: float | None = None
    last_exponent: float | None = None
    claimed_exponent: float | None = None
    ratio_lo: float | None = None
    ratio_hi: float | None = None
    rank: int | None = None


def _interval(row: Claimed) -> str | None:
    return None if row.ci_lo is None or row.ci_hi is None else f"{row.ci_lo:.2f} to {row.ci_hi:.2f}"


def _ratios(row: Claimed) -> str | None:
    if row.ratio_lo is None or row.ratio_hi is None:
        return None
    return span((row.ratio_lo, row.ratio_hi))


COLUMNS: tuple[Column[Claimed], ...] = (
    Column("subject", "subject", lambda row: row.subject, kind="text"),
    Column("claimed", "claimed", lambda row: row.claimed, kind="text"),
    Column("axis", "grows with", lambda row: row.axis, kind="text"),
    raw("letter", lambda row: row.letter, "text"),
    Column("exponent", "exponent", lambda row: row.exponent, "fitted", "1", digits=3),
    Column("interval", "exponent", _interval, "95 % interval", "1", kind="text", in_frame=False),
    raw("ci_lo", lambda row: row.ci_lo),
    raw("ci_hi", lambda row: row.ci_hi),
    raw("last_exponent", lambda row: row.last_exponent),
    Column("claimed_exponent", "exponent", lambda row: row.claimed_exponent, "claimed", "1", digits=1),
    raw("form", lambda row: row.form, "text"),
    raw("range", lambda row: row.range, "text"),
    Column("ratio", "MACs ÷ claimed", _ratios, unit="×", kind="text", in_frame=False),
    Column(
        "verdict", "verdict", lambda row: row.verdict, kind="text",
        note=lambda row: f"{row.reason}." if row.reason else "",
    ),
    raw("reason", lambda row: row.reason, "text"),
    raw("ratio_lo", lambda row: row.ratio_lo),
    raw("ratio_hi", lambda row: row.ratio_hi),
    raw("rank", lambda row: row.rank, "int"),
)  # fmt: skip


def growth(*, source: str) -> Sheet:
    """Fit the growth of TGM+TRM and Non-Local, and hold each stage of TGM+TRM against its O(·).

    ``source`` is the sheet's origin.
    """
    rows = [*_orders(), *_stages(), _rank()]
    title = f"{TITLE} · around input {'×'.join(map(str, PAPER_SHAPE))}, rank {RANK}"
    grid = lay_out(title, COLUMNS, [("", rows)])
    grid.notes.append(
        "MACs of every convolution and matrix product; exponents of the fast forms, stages of the published "
        "one. Exponents: least squares on log-log, with Student's interval of the slope; the counts have no "
        "noise, so that the interval says how far they are from a power law. An order is reproduced where "
        "the interval holds the claimed exponent or the slope drifts to it, and the slope between the last "
        f"two points is within {NEAR} of it. Growth with C is taken where H·W is much greater than C, as the "
        "claims have it. A stage is as claimed where its MACs are one multiple of the expression, within a "
        "factor of two, at every shape."
    )
    return Sheet("growth", TITLE, grid, frame(COLUMNS, rows), source)


def _case(module: str, form: str = "fast", **changed: Any) -> Case:
    _, channels, height, width = PAPER_SHAPE
    options = TABLE10.row(module).options(changed.get("channels", channels))
    case = Case(module, channels, height, width, options=options, implementation=form)
    return replace(case, **changed)


def _orders() -> list[Claimed]:
    """A row for each module and axis of a claimed order."""
    rows = []
    for module in (SUBJECT, BASELINE):
        lines: list[Sequence[Case]] = [
            [_case(module, height=side, width=side) for side in SIZES],
            [_case(module, channels=c, height=SIZES[-1], width=SIZES[-1]) for c in CHANNELS],
        ]
        if module == SUBJECT:
            lines.append([_case(module, options={"rank": rank}) for rank in RANKS])
        for cases in lines:
            swept = sweep(cases)
            rows += [_order(swept.axis, growth) for growth in swept.growths if growth.quantity == "gmacs"]
    return rows


def _order(axis: str, growth: Growth) -> Claimed:
    spec = registry.spec(growth.case.module)
    at = f", at {growth.case.height}×{growth.case.width}" if axis != "size" else ""
    last, claimed = growth.last, growth.claimed
    near = last is not None and claimed is not None and abs(last - claimed) <= NEAR
    why = "" if growth.verdict == AS_CLAIMED else growth.verdict
    far = "" if near else f"the last slope is more than {NEAR} from the claim"
    return Claimed(
        subject=spec.title if spec else growth.case.module,
        claimed=spec.complexity if spec else "",
        axis=title_of(axis)[0].removeprefix("option ") + at,
        letter=title_of(axis)[1],
        exponent=growth.slope,
        ci_lo=growth.low,
        ci_hi=growth.high,
        last_exponent=last,
        claimed_exponent=claimed,
        form=growth.case.implementation,
        range=_range(axis, growth),
        verdict=REPRODUCED if growth.verdict in (AS_CLAIMED, TOWARDS) and near else DIFFERS,
        reason=", ".join(filter(None, (why, far))),
    )


def _range(axis: str, growth: Growth) -> str:
    """The ends of a sweep, and what stood still: ``128 to 1024, at 256×256, rank 64``."""
    case, ends = growth.case, [f"{x:g}" for x in (growth.x[0], growth.x[-1])]
    fixed = {"channels": f"C {case.channels}", "size": f"{case.height}×{case.width}", "rank": ""}
    if rank := case.options.get("rank"):
        fixed["rank"] = f"rank {rank}"
    at = ", ".join(words for name, words in fixed.items() if words and name != axis)
    return f"{' to '.join(ends)}, at {at}"


def _stages() -> list[Claimed]:
    """A row for each stage of TGM+TRM: its MACs for one rank over the claimed expression, shape by shape."""
    shapes = [(c, h, w) for c in CHANNELS[:2] for h, w in ((32, 32), (64, 32), (64, 96))]
    ratios: dict[str, list[float]] = {stage: [] for stage in STAGES}
    for c, h, w in shapes:
        case = _case(SUBJECT, "published", options={"rank": RANK}, channels=c, height=h, width=w)
        ops = trace_case(case).ops
        tgm = sum(op.macs for op in ops if op.module.partition(".")[0] in GENERATORS)
        trm = sum(op.macs for op in ops) - tgm
        ratios["TGM"].append(tgm / RANK / (c * c + h * h + w * w))
        ratios["TRM"].append(trm / RANK / (c * h * w))
    low, high = ("×".join(map(str, shape)) for shape in (shapes[0], shapes[-1]))
    return [
        Claimed(
            subject=f"{stage}, one rank",
            claimed=claim,
            axis=f"{len(shapes)} shapes",
            ratio_lo=min(ratios[stage]),
            ratio_hi=max(ratios[stage]),
            form="published",
            range=f"C, H, W of {low} to {high}, rank {RANK}",
            verdict=REPRODUCED if max(ratios[stage]) < 2 * min(ratios[stage]) else DIFFERS,
        )
        for stage, claim in STAGES.items()
    ]


def _rank() -> Claimed:
    """The rank of a random tensor of the paper's shape, unfolded along the channels.

    A tensor's rank is at least that of each of its unfoldings.
    """
    _, channels, height, width = PAPER_SHAPE
    unfolded = np.random.default_rng(0).standard_normal((channels, height * width))  # (C, H·W)
    rank = int(np.linalg.matrix_rank(unfolded))
    return Claimed(
        subject="rank of X",
        claimed=str(RANK),
        axis="a random tensor",
        rank=rank,
        range=f"{channels}×{height}×{width}",
        verdict=REPRODUCED if rank <= RANK else DIFFERS,
        reason=f"at least {rank}, the rank of a random X of {channels}×{height}×{width}, unfolded along C",
    )
