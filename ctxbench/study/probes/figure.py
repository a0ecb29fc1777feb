"""The heat map of the probes: blocks by family, a panel for each pair of map sizes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ctxbench.study.probes.grid import Row, Setting, settings
from ctxbench.study.probes.levels import CEILING_PCT, levels
from ctxbench.study.probes.spec import ProbePlan
from ctxbench.study.probes.tasks import TASKS
from ctxbench.table.grid import EMPTY
from ctxbench.table.style import STYLE, canvas, ink_on

COLOURS = "YlGnBu"


def heat_map(plan: ProbePlan, rows: Sequence[Row]) -> Figure:
    """Draw accuracies, shaded from chance (white) to the ceiling (dark), the largest map on the left."""
    pairs = list(dict.fromkeys((each.trained, each.tested) for each in settings(plan)))
    with rc_context(STYLE):
        tasks, blocks = len(plan.tasks), len(rows)
        figure = canvas(2.4 + 0.55 * tasks * len(pairs), 2.6 + 0.27 * blocks)
        panels = figure.subplots(1, len(pairs), sharey=True, squeeze=False)[0]
        for axes, (trained, tested) in zip(panels, pairs, strict=True):
            _panel(axes, rows, plan.tasks, trained, tested)
            same = trained == tested
            axes.set_title(
                f"trained and tested on {tested}×{tested}"
                if same
                else f"trained on {trained}×{trained}, tested on {tested}×{tested}"
            )
        panels[0].set_yticks(range(blocks), [_labelled(row.name, row.family) for row in rows])
        figure.suptitle(
            "Accuracy in %, shaded from chance to the ceiling; bold: beyond chance", fontweight="bold"
        )
    return figure


def _labelled(name: str, family: str) -> str:
    return f"{name}  ({family})" if family else name


def _panel(axes: Axes, rows: Sequence[Row], tasks: Sequence[str], trained: int, tested: int) -> None:
    shades = np.full((len(rows), len(tasks)), np.nan)
    for x, task in enumerate(tasks):
        chance = levels(task, tested).chance_pct
        for y, row in enumerate(rows):
            score = row.scores[Setting(task, trained, tested)]
            if score.mean is not None:
                shades[y, x] = np.clip((score.mean - chance) / (CEILING_PCT - chance), 0, 1)
            text = EMPTY if score.mean is None else f"{score.mean:.0f}"
            colour = "black" if score.mean is None else ink_on(colormaps[COLOURS](shades[y, x]))
            weight = "bold" if score.is_beyond else "normal"
            axes.text(x, y, text, ha="center", va="center", color=colour, fontsize=8, fontweight=weight)
    axes.imshow(shades, cmap=COLOURS, vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(tasks)), [TASKS[task].title for task in tasks], rotation=60, ha="right")
    axes.grid(visible=False)
    axes.tick_params(length=0)
    edge = 0
    for _, family in groupby(rows, key=lambda row: row.family):
        edge += len(list(family))
        axes.axhline(edge - 0.5, color="white", linewidth=3)
