"""Table 9 regenerated: what each network adds to its backbone at both input sizes, and own runs' mIoU."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from ctxbench.paper.comparison import NOT_MEASURED, REPRODUCED
from ctxbench.paper.increments import (
    GIGA,
    TABLE9_SIDES,
    Decode,
    Increment,
    backbone_alone,
    decode,
    increments,
)
from ctxbench.paper.own_runs import OwnRun, Placed, for_table
from ctxbench.paper.printed import plain_name, rows
from ctxbench.paper.sheet import Sheet
from ctxbench.paper.tables.table1_to_6 import commands, miou_columns
from ctxbench.report.plots import GREY
from ctxbench.table.column import significant
from ctxbench.table.grid import EMPTY, Cell, Grid, Group, Heading
from ctxbench.table.style import PALETTE, STYLE, canvas

TITLE = "Table 9 of the paper, PASCAL VOC 2012 val, ResNet-101: what each network adds to its backbone"
SCORES = {"miou_ss": "mIoU, SS", "miou_ms_flip": "mIoU, MS/Flip"}
SMALL = TABLE9_SIDES[0]

HEADINGS = (
    Heading("method", "method"),
    Heading("printed", "FLOPs", "printed", "G"),
    Heading("verdict", "FLOPs", "verdict"),
    *(Heading(f"published_gmacs_{side}", "MACs, published", f"{side}²", "G") for side in TABLE9_SIDES),
    *(  # the first to give way where the room is short: nothing printed is held against them
        Heading(f"fast_gmacs_{side}", "MACs, fast", f"{side}²", "G", rank)
        for rank, side in enumerate(TABLE9_SIDES, start=1)
    ),
    *(Heading(f"rule_gflops_{side}", "Table 10's rule", f"{side}²", "G") for side in TABLE9_SIDES),
    *(
        heading
        for name, words in SCORES.items()
        for heading in (
            Heading(f"{name}_printed", words, "printed", "%"),
            Heading(f"{name}_run", words, "run", "%"),
        )
    ),
)


def table9(
    runs: Sequence[OwnRun] = (),
    *,
    source: str,
    skip_other_datasets: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Sheet:
    """Count every network of Table 9 and place ``runs`` beside its mIoU; nothing is run.

    ``source`` is the origin of the counts; ``progress`` is told each method before it is counted. Runs of
    another data set are left out with ``skip_other_datasets``, else refused: UserError names the first.
    """
    chosen, none = for_table(runs, 9, skip_other_datasets=skip_other_datasets)
    none = none or "none of the runs given is of this network at these scales"
    placed = miou_columns(chosen)
    grid = Grid(TITLE, list(HEADINGS))
    cells, frame, counted = [], [], {}
    for row in rows(9):
        if progress is not None:
            progress(row["method"])
        increment = row["is_increment_over_backbone"] == "1"
        found = increments(plain_name(row["method"])) if increment else backbone_alone()
        counted[row["method"]] = found
        decoded = decode(row["flops_g"], found)
        scores = placed.get(plain_name(row["method"]), {}) if increment else None
        cells.append(_cells(grid, row, found, decoded, scores, none))
        frame.append(_numbers(row, found, decoded, scores, none))
    grid.groups += [Group("backbone alone", cells[:1]), Group("added to the backbone", cells[1:])]
    grid.notes += [
        "MACs: multiply-accumulates of every convolution and matrix product, every call; published: the "
        "authors' operation order. Table 10's rule: leaf modules alone, last call wins. With the classifier, "
        "without the auxiliary head, which is for training alone.",
        "Departures: of a way to count, from plain MACs. By chance: the fits that a random number, within a "
        "factor of two of the printed one, has on average among ways of no more departures.",
    ]
    if not chosen:
        grid.notes.append(f"mIoU: not measured, {none}. To have one: `{commands(9)}`.")
    grid.findings += _in_words(frame)
    return Sheet("table9", TITLE, grid, pd.DataFrame(frame), source, _figure(counted))


def _cells(
    grid: Grid,
    row: Mapping[str, str],
    found: Mapping[int, Increment],
    decoded: Decode,
    scores: Mapping[str, Placed] | None,
    none: str,
) -> list[Cell]:
    of_side = [found[side] for side in TABLE9_SIDES]
    numbers = [
        *(each.macs for each in of_side),
        *(each.fast_macs for each in of_side),
        *(each.rule_flops for each in of_side),
    ]
    best, chance = decoded.best, ""
    if best.by_chance is not None:
        departures = f"{best.deviations} departure{'s' * (best.deviations != 1)}"
        chance = f"; {departures}, by chance {significant(best.by_chance, 2)} fits"
    note = grid.footnote(f"{row['method']} {row['flops_g']} G: {decoded}{chance}.")
    cells = [Cell(row["method"]), Cell(row["flops_g"]), Cell(decoded.verdict, note=note)]
    cells += [Cell(significant(number / GIGA, 5)) for number in numbers]
    for name in SCORES:
        cells.append(Cell(row[name] or EMPTY))
        cells.append(_score(grid, name, scores, none))
    return cells


def _score(grid: Grid, name: str, scores: Mapping[str, Placed] | None, none: str) -> Cell:
    if scores is None:
        return Cell(EMPTY)
    placed = scores.get(name)
    if placed is None:
        return Cell(EMPTY, note=grid.footnote(f"mIoU not measured: {none}."))
    why = ": ".join(filter(None, (placed.verdict, placed.reason)))
    note = grid.footnote(f"mIoU {why}; evaluated on {placed.on}.")
    return Cell(f"{placed.value:.2f}", note=note)


def _numbers(
    row: Mapping[str, str],
    found: Mapping[int, Increment],
    decoded: Decode,
    scores: Mapping[str, Placed] | None,
    none: str,
) -> dict[str, Any]:
    numbers: dict[str, Any] = {
        "method": row["method"],
        "is_increment": row["is_increment_over_backbone"] == "1",
        "printed_gflops": row["flops_g"],
    }
    for side, each in found.items():
        numbers |= {
            f"published_gmacs_{side}": each.macs / GIGA,
            f"fast_gmacs_{side}": each.fast_macs / GIGA,
            f"rule_gflops_{side}": each.rule_flops / GIGA,
            f"classifier_gmacs_{side}": each.classifier_macs / GIGA,
        }
    best = decoded.best
    numbers |= {
        "flops_verdict": decoded.verdict,
        "flops_decode": best.candidates[0].words,
        "flops_decode_gflops": best.candidates[0].value,
        "ways_fitting": decoded.ways_fitting,
        "ways_tried": len(decoded.tried),
        "departures": best.deviations if best.is_fit else None,
        "fits_by_chance": best.by_chance,
        "flops_reason": "" if best.is_fit else str(decoded),
    }
    for name in SCORES if scores is not None else ():
        placed = scores.get(name) if scores else None
        numbers |= {
            f"{name}_printed_pct": row[name],
            f"{name}_pct": placed.value if placed else None,
            f"{name}_verdict": placed.verdict if placed else NOT_MEASURED,
            f"{name}_reason": placed.reason if placed else none,
            f"{name}_evaluated_on": placed.on if placed else None,
        }
    return numbers


def _in_words(frame: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the counts mean for the table's order, in sentences computed from them."""
    heads = {row["method"]: row for row in frame if row["is_increment"]}
    fitting = [row for row in frame if row["flops_verdict"] == REPRODUCED]
    sides = {side: [r for r in fitting if f"at {side}×{side}" in r["flops_decode"]] for side in TABLE9_SIDES}
    said = "; ".join(
        f"{', '.join(row['method'] for row in of)} at {side}×{side}" for side, of in sides.items() if of
    )
    rest = ", ".join(row["method"] for row in frame if row["flops_verdict"] != REPRODUCED)
    sentences = [
        f"{len(fitting)} of {len(frame)} numbers fit some way to count, but not at one input size: {said}."
        + (f" Not reproducible: {rest}." if rest else "")
    ]
    ours = heads["RecoNet"]
    cheapest = min((row for row in heads.values() if row is not ours), key=lambda row: row[_MACS])
    order = "less" if ours[_MACS] < cheapest[_MACS] else "more"
    sentences.append(
        f"At one size, {SMALL}×{SMALL}, and by one rule, MACs of the published forms, RecoNet adds "
        f"{ours[_MACS]:.2f} G, {order} than the cheapest of the others, {cheapest['method']}, with "
        f"{cheapest[_MACS]:.2f} G; printed are {ours['printed_gflops']} and {cheapest['printed_gflops']} G."
    )
    return sentences


_MACS = f"published_gmacs_{SMALL}"


def _figure(counted: Mapping[str, Mapping[int, Increment]]) -> Figure:
    """Draw each increment as bars at both sizes, with what is printed as a diamond."""
    methods = [row for row in rows(9) if row["is_increment_over_backbone"] == "1"]
    height = 0.8 / len(TABLE9_SIDES)
    with rc_context(STYLE):
        figure = canvas(9, 4.6)
        axes = figure.subplots()
        for i, (side, colour) in enumerate(
            zip(TABLE9_SIDES, (PALETTE["a2net"], PALETTE["nonlocal"]), strict=True)
        ):
            y = [n + (i - (len(TABLE9_SIDES) - 1) / 2) * height for n in range(len(methods))]
            values = [counted[row["method"]][side].macs / GIGA for row in methods]
            axes.barh(y, values, height, color=colour, label=f"MACs at {side}×{side}")
        axes.plot(
            [float(row["flops_g"]) for row in methods],
            range(len(methods)),
            "D",
            color="white",
            markeredgecolor="black",
            label="printed",
        )
        axes.set_yticks(range(len(methods)), [row["method"] for row in methods])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("added to the backbone [G]", color=GREY)
        figure.legend(loc="outside lower center", ncols=3)
        figure.suptitle("Table 9: published forms, one rule, beside what is printed", fontweight="bold")
    return figure
