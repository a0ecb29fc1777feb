"""The table and the figure that Tables 7 and 8 are shown as.

The printed numbers are of VOC 2012. Ours are of whatever set was trained on, so only the direction of a
difference is compared, never a digit.
"""

import shlex
from collections.abc import Sequence

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ctxbench.paper.ablation.settings import BACKBONES, Study
from ctxbench.paper.comparison import NOT_MEASURED
from ctxbench.paper.provenance import trained
from ctxbench.paper.sheet import Sheet
from ctxbench.report.figures.plots import GREY
from ctxbench.study.significance import LEVEL, power_in_words
from ctxbench.study.whole.rows import Result
from ctxbench.study.whole.trial import words
from ctxbench.table.column import Column, frame, lay_out, raw, signed
from ctxbench.table.style import PALETTE, STYLE, canvas


def _starred(result: Result) -> str:
    """The gain with a star where it is significant; empty without one."""
    return "" if result.gain is None else signed(result.gain) + " *" * result.significant


def _mean_and_sd(result: Result) -> str:
    spread = f" ± {result.sd:.1f}" if result.sd is not None else ""
    return "" if result.mean is None else f"{result.mean:.1f}{spread}"


def _direction(result: Result) -> str:
    """Whether the printed direction appeared, or that none was measured; empty where nothing is compared."""
    return result.direction or ("" if result.row.reference is None else NOT_MEASURED)


def _remark(result: Result) -> str:
    return result.remark


# What people read as one, a mean with its spread or a gain with its star, stands in its parts in the frame.
COLUMNS: tuple[Column[Result], ...] = (
    Column("label", "row", lambda result: result.row.label, kind="text"),
    raw("dataset", lambda result: result.row.config.dataset, "text"),
    Column("backbone", "backbone", lambda result: result.row.config.backbone, kind="text"),
    raw("iterations", lambda result: result.row.config.iterations or None, "int"),
    raw("epochs", lambda result: None if result.row.config.iterations else result.row.config.epochs),
    raw("evaluation", lambda result: words(result.row.setting), "text"),
    Column("printed_miou_pct", "printed", lambda result: result.row.printed, "mIoU", "%", kind="text"),
    Column(
        "printed_gain_points", "printed", lambda result: result.printed_gain, "gain", "points", format=signed
    ),
    Column(
        "miou_pct", "here", _mean_and_sd, "mIoU ± sd", "%",
        kind="text", note=_remark, why=_remark, in_frame=False,
    ),
    raw("miou_mean_pct", lambda result: result.mean),
    raw("miou_sd_points", lambda result: result.sd),
    raw(
        "miou_by_seed_pct",
        lambda result: " ".join(f"{seed}:{miou:.4f}" for seed, miou in result.miou.items()),
        "text",
    ),
    Column("seeds", "here", lambda result: len(result.miou), "n", "seeds", kind="int", format=str),
    Column("starred_gain_points", "here", _starred, "gain", "points", kind="text", in_frame=False),
    raw("gain_points", lambda result: result.gain),
    Column("p_holm", "here", lambda result: result.p, "p", "Holm", format=lambda p: f"{p:.2g}"),
    Column("direction_in_words", "direction", _direction, kind="text", in_frame=False),
    raw("direction", lambda result: result.direction or None, "text"),
    raw("verdict", lambda result: NOT_MEASURED if result.mean is None else None, "text"),
    raw("reason", lambda result: result.remark or None, "text"),
    raw("device", lambda result: "; ".join(result.devices) or None, "text"),
)  # fmt: skip


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
    table = lay_out(f"{title} · {study.about}", COLUMNS, [("", results)])
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
    runs = [starts for result in results for starts in result.starts]
    made = trained(runs, study.config(larger=False).precision) if runs else "nothing was trained"
    origin = f"{made} · {shlex.join(command)}"
    return Sheet(name, title, table, frame(COLUMNS, results), origin, _figure(results, study))


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
            _starred(result),
            (result.mean, y),
            (0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
