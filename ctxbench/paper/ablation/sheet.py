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

from ctxbench.paper.ablation.settings import BACKBONES, Study
from ctxbench.paper.comparison import NOT_MEASURED
from ctxbench.paper.provenance import trained
from ctxbench.paper.sheet import Sheet
from ctxbench.report.plots import GREY
from ctxbench.study.rows import Result
from ctxbench.study.significance import LEVEL, power_in_words
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
    results: Sequence[Result],
    findings: Sequence[str],
    notes: Sequence[str],
    command: Sequence[str],
) -> Sheet:
    """The table, its raw numbers and its figure."""
    table = Grid(f"{title} · {study.about}", list(HEADINGS))
    table.groups.append(Group("", [_cells(table, result) for result in results]))
    table.findings += findings
    references = {result.reference.row.label for result in results if result.reference is not None}
    against = "the row before" if len(references) > 1 else next(iter(references))
    table.notes += [
        f"Gain: over {against}. The printed numbers are of VOC 2012 val, ours of {study.dataset}: only the "
        "direction of a gain is compared: whether the printed one appeared here.",
        "Mean ± sample standard deviation over seeds; two-sided paired t-test over seeds, p corrected by "
        f"Holm for the comparisons of this table; *: significant, p < {LEVEL:g}. "
        f"{power_in_words(len(study.seeds))}",
        "Every score is of the last weights: nothing was chosen by an evaluation.",
        *notes,
    ]
    if study.dataset not in BACKBONES and set(study.weights) != set(study.backbones):
        bare = [backbone for backbone in study.backbones if backbone not in study.weights]
        table.notes.append(f"No weights were given for {' and '.join(bare)}: trained from random ones.")
    if devices := dict.fromkeys(device for result in results for device in result.devices):
        table.notes.append(f"Scores are of networks evaluated on {' and '.join(devices)}.")
    frame = pd.DataFrame([_record(result) for result in results])
    runs = [starts for result in results for starts in result.starts]
    made = trained(runs, study.config(larger=False).precision) if runs else "nothing was trained"
    return Sheet(name, title, table, frame, f"{made} · {shlex.join(command)}", _figure(results, study))


def signed(value: float) -> str:
    """A difference in points: ``+1.2``, with a minus sign that is one."""
    return f"{value:+.1f}".replace("-", "−")


def _marked(result: Result) -> str:
    """The gain with a star where it is significant."""
    return EMPTY if result.gain is None else signed(result.gain) + " *" * result.significant


def _cells(table: Grid, result: Result) -> list[Cell]:
    note = table.footnote(result.remark) if result.remark else 0
    spread = f" ± {result.sd:.1f}" if result.sd is not None else ""
    return [
        Cell(result.row.label),
        Cell(result.row.config.backbone),
        Cell(result.row.printed),
        Cell(EMPTY if result.printed_gain is None else signed(result.printed_gain)),
        Cell(EMPTY if result.mean is None else f"{result.mean:.1f}{spread}", note=note),
        Cell(str(len(result.miou))),
        Cell(_marked(result)),
        Cell(EMPTY if result.p is None else f"{result.p:.2g}"),
        Cell(result.direction or (EMPTY if result.row.reference is None else NOT_MEASURED)),
    ]


def _record(result: Result) -> dict[str, Any]:
    config = result.row.config
    return {
        "label": result.row.label,
        "dataset": config.dataset,
        "backbone": config.backbone,
        "iterations": config.iterations or None,
        "epochs": None if config.iterations else config.epochs,
        "evaluation": words(result.row.setting),
        "printed_miou_pct": float(result.row.printed),
        "printed_gain_points": result.printed_gain,
        "miou_mean_pct": result.mean,
        "miou_sd_points": result.sd,
        "miou_by_seed_pct": " ".join(f"{seed}:{miou:.4f}" for seed, miou in result.miou.items()),
        "seeds": len(result.miou),
        "gain_points": result.gain,
        "p_holm": result.p,
        "direction": result.direction or None,
        "verdict": NOT_MEASURED if result.mean is None else None,
        "reason": result.remark or None,
        "device": "; ".join(result.devices) or None,
    }


def _figure(results: Sequence[Result], study: Study) -> Figure:
    with rc_context(STYLE):
        figure = canvas(10.5, 1.8 + 0.42 * len(results))
        printed, here = figure.subplots(1, 2, sharey=True)
        positions = range(len(results))
        printed.plot(
            [float(result.row.printed) for result in results], positions, "D", color=GREY, markersize=6
        )
        printed.set_title("Printed: mIoU on VOC 2012 val [%]")
        here.set_title(f"Here: mIoU on {study.dataset} [%], points: seeds, bar: mean ± sd")
        for y, result in enumerate(results):
            _mark(here, y, result)
        printed.set_yticks(positions, [result.row.label for result in results])
        printed.invert_yaxis()
    return figure


def _mark(axes: Axes, y: int, result: Result) -> None:
    colour = PALETTE["reconet"]
    if result.mean is None:
        axes.text(0.02, y, "not measured", transform=axes.get_yaxis_transform(), va="center", color=GREY)
        return
    axes.plot(list(result.miou.values()), [y] * len(result.miou), "o", color=colour, alpha=0.45, markersize=4)
    axes.errorbar(result.mean, y, xerr=result.sd, fmt="|", color=colour, capsize=4, markersize=12)
    if result.gain is not None:
        axes.annotate(
            _marked(result),
            (result.mean, y),
            (0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
