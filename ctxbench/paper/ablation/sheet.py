"""The table and the figure that Tables 7 and 8 are shown as.

The printed numbers are of VOC 2012. Ours are of whatever set was trained on, so only the direction of a
difference is compared, never a digit.
"""

import shlex
from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ctxbench.paper.comparison import NOT_MEASURED
from ctxbench.paper.provenance import trained
from ctxbench.paper.sheet import Sheet
from ctxbench.report.plots import GREY
from ctxbench.study.significance import LEVEL, Difference, power_in_words
from ctxbench.study.study import BACKBONES, Compared, Study
from ctxbench.study.trial import words
from ctxbench.table.grid import EMPTY, Cell, Grid, Group, Heading
from ctxbench.table.style import PALETTE, STYLE, canvas

HEADINGS = (
    Heading("label", "row"),
    Heading("backbone", "backbone"),
    Heading("printed_miou_pct", "printed", "mIoU", "%"),
    Heading("printed_gain_points", "printed", "gain", "points"),
    Heading("miou_pct", "here", "mIoU ± sd", "%"),
    Heading("seeds", "here", "n", "seeds"),
    Heading("gain_points", "here", "gain", "points"),
    Heading("p_holm", "here", "p", "Holm"),
    Heading("direction", "direction"),
)


def sheet(
    name: str,
    title: str,
    study: Study,
    found: Sequence[Compared],
    findings: Sequence[str],
    notes: Sequence[str],
    command: Sequence[str],
) -> Sheet:
    """The table, its raw numbers and its figure."""
    table = Grid(f"{title} · {study.about}", list(HEADINGS))
    table.groups.append(Group("", [_cells(table, one) for one in found]))
    table.findings += findings
    reference = {row.reference for one in found if (row := one.row).reference is not None}
    against = "the row before" if len(reference) > 1 else found[next(iter(reference))].row.cell.label
    table.notes += [
        f"Gain: over {against}. The printed numbers are of VOC 2012 val, ours of {study.dataset}: only the "
        "direction of a gain is compared: whether the printed one appeared here.",
        "Mean ± sample standard deviation over seeds; two-sided paired t-test over seeds, p corrected by "
        f"Holm for the comparisons of this table; *: significant, p < {LEVEL:g}. "
        f"{power_in_words(len(study.numbers))}",
        "Every score is of the last weights: nothing was chosen by an evaluation.",
        *notes,
    ]
    if study.dataset not in BACKBONES and set(study.weights) != set(study.backbones):
        bare = [backbone for backbone in study.backbones if backbone not in study.weights]
        table.notes.append(f"No weights were given for {' and '.join(bare)}: trained from random ones.")
    if devices := dict.fromkeys(device for one in found for device in one.result.devices):
        table.notes.append(f"Scores are of networks evaluated on {' and '.join(devices)}.")
    frame = pd.DataFrame([_record(one) for one in found])
    runs = [starts for one in found for starts in one.result.starts]
    made = trained(runs, study.config(larger=False).precision) if runs else "nothing was trained"
    return Sheet(name, title, table, frame, f"{made} · {shlex.join(command)}", _figure(found, study))


def signed(value: float) -> str:
    """A difference in points: ``+1.2``, with a minus sign that is one."""
    return f"{value:+.1f}".replace("-", "−")


def _marked(difference: Difference) -> str:
    return signed(difference.mean) + " *" * difference.significant


def _cells(table: Grid, one: Compared) -> list[Cell]:
    result, difference = one.result, one.difference
    note = table.footnote(one.why) if one.why else 0
    spread = f" ± {result.sd:.1f}" if result.sd is not None else ""
    p = EMPTY if difference is None or difference.p is None else f"{difference.p:.2g}"
    return [
        Cell(one.row.cell.label),
        Cell(one.row.cell.config.backbone),
        Cell(one.row.printed),
        Cell(EMPTY if one.printed_gain is None else signed(one.printed_gain)),
        Cell(EMPTY if result.mean is None else f"{result.mean:.1f}{spread}", note=note),
        Cell(str(len(result.miou))),
        Cell(EMPTY if difference is None else _marked(difference)),
        Cell(p),
        Cell(one.direction or (EMPTY if one.row.reference is None else NOT_MEASURED)),
    ]


def _record(one: Compared) -> dict[str, Any]:
    result, difference, config = one.result, one.difference, one.row.cell.config
    return {
        "label": one.row.cell.label,
        "dataset": config.dataset,
        "backbone": config.backbone,
        "iterations": config.iterations or None,
        "epochs": None if config.iterations else config.epochs,
        "evaluation": words(one.row.cell.setting),
        "printed_miou_pct": float(one.row.printed),
        "printed_gain_points": one.printed_gain,
        "miou_mean_pct": result.mean,
        "miou_sd_points": result.sd,
        "miou_by_seed_pct": " ".join(f"{seed}:{miou:.4f}" for seed, miou in result.miou.items()),
        "seeds": len(result.miou),
        "gain_points": None if difference is None else difference.mean,
        "p_holm": None if difference is None else difference.p,
        "direction": one.direction or None,
        "verdict": NOT_MEASURED if result.mean is None else None,
        "reason": one.why or None,
        "device": "; ".join(result.devices) or None,
    }


def _figure(found: Sequence[Compared], study: Study) -> Figure:
    with rc_context(STYLE):
        figure = canvas(10.5, 1.8 + 0.42 * len(found))
        printed, here = figure.subplots(1, 2, sharey=True)
        positions = range(len(found))
        printed.plot([float(one.row.printed) for one in found], positions, "D", color=GREY, markersize=6)
        printed.set_title("Printed: mIoU on VOC 2012 val [%]")
        here.set_title(f"Here: mIoU on {study.dataset} [%], points: seeds, bar: mean ± sd")
        for y, one in enumerate(found):
            _mark(here, y, one)
        printed.set_yticks(positions, [one.row.cell.label for one in found])
        printed.invert_yaxis()
    return figure


def _mark(axes: Axes, y: int, one: Compared) -> None:
    colour, result = PALETTE["reconet"], one.result
    if result.mean is None:
        axes.text(0.02, y, "not measured", transform=axes.get_yaxis_transform(), va="center", color=GREY)
        return
    axes.plot(list(result.miou.values()), [y] * len(result.miou), "o", color=colour, alpha=0.45, markersize=4)
    axes.errorbar(result.mean, y, xerr=result.sd, fmt="|", color=colour, capsize=4, markersize=12)
    if one.difference is not None:
        axes.annotate(
            _marked(one.difference),
            (result.mean, y),
            (0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
