"""The orders O(·) and the rank that section 4 claims, as a sheet: counted, never timed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from ctxbench.paper.comparison import BASELINE, REPRODUCED, SUBJECT
from ctxbench.paper.presets import TABLE10
from ctxbench.paper.printed.table10 import PAPER_SHAPE
from ctxbench.paper.sheet import DIFFERS, Sheet
from ctxbench.paper.tables.table10 import RANK
from ctxbench.report.sweep import AS_CLAIMED, TOWARDS, Growth, sweep, title_of
from ctxbench.subject import registry
from ctxbench.subject.bind import build_case
from ctxbench.subject.case import Case
from ctxbench.table.column import significant
from ctxbench.table.grid import EMPTY, Cell, Grid, Group, Heading
from ctxbench.tracing import trace

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

HEADINGS = (
    Heading("subject", "subject"),
    Heading("claimed", "claimed"),
    Heading("axis", "grows with"),
    Heading("exponent", "exponent", "fitted", "1"),
    Heading("interval", "exponent", "95 % interval", "1"),
    Heading("claimed_exponent", "exponent", "claimed", "1"),
    Heading("ratio", "MACs ÷ claimed", "", "×"),
    Heading("verdict", "verdict"),
)


def growth(*, source: str) -> Sheet:
    """Fit the growth of TGM+TRM and Non-Local, and hold each stage of TGM+TRM against its O(·).

    ``source`` is the sheet's origin.
    """
    frame = pd.DataFrame([*_orders(), *_stages(), _rank()])
    grid = Grid(f"{TITLE} · around input {'×'.join(map(str, PAPER_SHAPE))}, rank {RANK}", list(HEADINGS))
    grid.groups.append(Group("", [_cells(grid, row) for row in frame.to_dict("records")]))
    grid.notes.append(
        "MACs of every convolution and matrix product; exponents of the fast forms, stages of the published "
        "one. Exponents: least squares on log-log, with Student's interval of the slope; the counts have no "
        "noise, so that the interval says how far they are from a power law. An order is reproduced where "
        "the interval holds the claimed exponent or the slope drifts to it, and the slope between the last "
        f"two points is within {NEAR} of it. Growth with C is taken where H·W is much greater than C, as the "
        "claims have it. A stage is as claimed where its MACs are one multiple of the expression, within a "
        "factor of two, at every shape."
    )
    return Sheet("growth", TITLE, grid, frame, source)


def _case(module: str, form: str = "fast", **changed: Any) -> Case:
    _, channels, height, width = PAPER_SHAPE
    options = TABLE10.row(module).options(changed.get("channels", channels))
    case = Case(module, channels, height, width, options=options, implementation=form)
    return replace(case, **changed)


def _orders() -> list[dict[str, Any]]:
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
            found = sweep(cases)
            rows += [_order(found.axis, g) for g in found.growths if g.quantity == "gmacs"]
    return rows


def _order(axis: str, found: Growth) -> dict[str, Any]:
    known = registry.spec(found.case.module)
    at = f", at {found.case.height}×{found.case.width}" if axis != "size" else ""
    near = found.last is not None and found.claimed is not None and abs(found.last - found.claimed) <= NEAR
    why = "" if found.verdict == AS_CLAIMED else found.verdict
    far = "" if near else f"the last slope is more than {NEAR} from the claim"
    return {
        "subject": known.title if known else found.case.module,
        "claimed": known.complexity if known else "",
        "axis": title_of(axis)[0].removeprefix("option ") + at,
        "letter": title_of(axis)[1],
        "exponent": found.slope,
        "ci_lo": found.low,
        "ci_hi": found.high,
        "last_exponent": found.last,
        "claimed_exponent": found.claimed,
        "form": found.case.implementation,
        "range": _range(axis, found),
        "verdict": REPRODUCED if found.verdict in (AS_CLAIMED, TOWARDS) and near else DIFFERS,
        "reason": ", ".join(filter(None, (why, far))),
    }


def _range(axis: str, found: Growth) -> str:
    """The ends of a sweep, and what stood still: ``128 to 1024, at 256×256, rank 64``."""
    case, ends = found.case, [f"{x:g}" for x in (found.x[0], found.x[-1])]
    fixed = {"channels": f"C {case.channels}", "size": f"{case.height}×{case.width}", "rank": ""}
    if rank := case.options.get("rank"):
        fixed["rank"] = f"rank {rank}"
    at = ", ".join(words for name, words in fixed.items() if words and name != axis)
    return f"{' to '.join(ends)}, at {at}"


def _stages() -> list[dict[str, Any]]:
    """A row for each stage of TGM+TRM: its MACs for one rank over the claimed expression, shape by shape."""
    shapes = [(c, h, w) for c in CHANNELS[:2] for h, w in ((32, 32), (64, 32), (64, 96))]
    ratios: dict[str, list[float]] = {stage: [] for stage in STAGES}
    for c, h, w in shapes:
        case = _case(SUBJECT, "published", options={"rank": RANK}, channels=c, height=h, width=w)
        ops = trace(partial(build_case, case), case.shape).ops
        tgm = sum(op.macs for op in ops if op.module.partition(".")[0] in GENERATORS)
        trm = sum(op.macs for op in ops) - tgm
        ratios["TGM"].append(tgm / RANK / (c * c + h * h + w * w))
        ratios["TRM"].append(trm / RANK / (c * h * w))
    low, high = ("×".join(map(str, shape)) for shape in (shapes[0], shapes[-1]))
    return [
        {
            "subject": f"{stage}, one rank",
            "claimed": claim,
            "axis": f"{len(shapes)} shapes",
            "ratio_lo": min(ratios[stage]),
            "ratio_hi": max(ratios[stage]),
            "form": "published",
            "range": f"C, H, W of {low} to {high}, rank {RANK}",
            "verdict": REPRODUCED if max(ratios[stage]) < 2 * min(ratios[stage]) else DIFFERS,
            "reason": "",
        }
        for stage, claim in STAGES.items()
    ]


def _rank() -> dict[str, Any]:
    """The rank of a random tensor of the paper's shape, unfolded along the channels.

    A tensor's rank is at least that of each of its unfoldings.
    """
    _, channels, height, width = PAPER_SHAPE
    unfolded = np.random.default_rng(0).standard_normal((channels, height * width))
    rank = int(np.linalg.matrix_rank(unfolded))
    return {
        "subject": "rank of X",
        "claimed": str(RANK),
        "axis": "a random tensor",
        "rank": rank,
        "range": f"{channels}×{height}×{width}",
        "verdict": REPRODUCED if rank <= RANK else DIFFERS,
        "reason": f"at least {rank}, the rank of a random X of {channels}×{height}×{width}, unfolded along C",
    }


def _cells(grid: Grid, row: Mapping[Any, Any]) -> list[Cell]:
    def number(name: str, digits: int = 3) -> str:
        return EMPTY if pd.isna(row[name]) else significant(row[name], digits)

    interval = f"{row['ci_lo']:.2f} to {row['ci_hi']:.2f}" if number("ci_lo") != EMPTY else EMPTY
    low, high = number("ratio_lo"), number("ratio_hi")
    return [
        *(Cell(row[name]) for name in ("subject", "claimed", "axis")),
        Cell(number("exponent")),
        Cell(interval),
        Cell(number("claimed_exponent", 1)),
        Cell(low if low == high else f"{low} to {high}"),
        Cell(row["verdict"], note=grid.footnote(f"{row['reason']}.") if row["reason"] else 0),
    ]
