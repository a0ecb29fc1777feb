"""What the probes found as a result: a table for each pair of map sizes, the heat map, and their files."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from ctxbench.report.layout import caption
from ctxbench.study.costs import costs
from ctxbench.study.files import write_result
from ctxbench.study.probes.figure import heat_map
from ctxbench.study.probes.grid import Row, Score, Setting, settings
from ctxbench.study.probes.levels import CEILING_PCT, levels
from ctxbench.study.probes.spec import POSITIONS, PROBED, TEST, ProbePlan
from ctxbench.study.probes.tasks import TASKS
from ctxbench.study.significance import LEVEL
from ctxbench.table.column import Column, frame, lay_out, raw
from ctxbench.table.grid import Cell, Grid, Group
from ctxbench.table.result import Result

if TYPE_CHECKING:
    import pandas as pd

STAR = "*"
COSTS: list[Column[Row]] = costs(lambda row: row.record)


@dataclass(frozen=True, repr=False)
class Probes(Result):
    """What blocks reach on tasks that need one kind of context each.

    ``str()`` is a table for each pair of map sizes, :meth:`to_frame` a row for each block and setting.
    """

    plan: ProbePlan
    rows: tuple[Row, ...]

    @property
    def headline(self) -> str:
        """The blocks, the tasks, the map sizes, and how many scores are beyond chance."""
        scores = [score for row in self.rows for score in row.scores.values()]
        ended = [score for score in scores if score.by_seed]
        beyond = sum(score.is_beyond for score in ended)
        return (
            f"{len(self.rows) - 1} blocks on {len(self.plan.tasks)} tasks, {self._sides}: "
            f"{beyond} of {len(ended)} scores beyond chance; {len(scores) - len(ended)} without a number"
        )

    @property
    def failed(self) -> dict[str, str]:
        """Blocks that could not be trained, at the size of their own maps, and why."""
        return {
            row.name: score.reason
            for row in self.rows
            for setting, score in row.scores.items()
            if score.reason and setting.trained == setting.tested
        }

    @property
    def _sides(self) -> str:
        return "maps of " + " and ".join(f"{side}×{side}" for side in self.plan.sides)

    def grids(self) -> list[Grid]:
        """A table for each pair of map sizes; what the tasks are stands under the first."""
        pairs = dict.fromkeys((each.trained, each.tested) for each in settings(self.plan))
        grids = [self._grid(*pair) for pair in pairs]
        grids[0].notes += self._notes()
        labels = (f"{TASKS[name].title}: {TASKS[name].needs.rstrip('.')}" for name in self.plan.tasks)
        grids[0].notes.append(f"What a position's label is. {'; '.join(labels)}.")
        return grids

    def _grid(self, trained: int, tested: int) -> Grid:
        shown = [Setting(task, trained, tested) for task in self.plan.tasks]
        columns: list[Column[Row]] = [
            Column("module", "module", lambda row: row.name, kind="text"),
            *(self._column(setting) for setting in shown),
            *(COSTS if trained == tested == max(self.plan.sides) else ()),
        ]
        groups = [(family, list(rows)) for family, rows in groupby(self.rows, key=lambda row: row.family)]
        how = f"tested on {tested}×{tested}"
        how = f"trained and {how}" if trained == tested else f"trained on {trained}×{trained}, {how}"
        grid = lay_out(f"Accuracy of probes, {how} · {self._conditions}", columns, groups)
        blank = [Cell("")] * (len(columns) - 1 - len(shown))
        references = {
            "chance": [levels(s.task, tested).chance_pct for s in shown],
            "one answer a map": [levels(s.task, tested).one_answer_pct for s in shown],
            "ceiling": [CEILING_PCT for _ in shown],
        }
        lines = [[Cell(name), *(Cell(f"{v:.0f}") for v in each), *blank] for name, each in references.items()]
        grid.groups.insert(0, Group("", lines))
        return grid

    @property
    def _conditions(self) -> str:
        plan = self.plan
        return f"{plan.cases[0].channels} channels · {plan.steps} steps · n = {len(plan.seeds)} seeds"

    def _column(self, setting: Setting) -> Column[Row]:
        def score(row: Row) -> Score:
            return row.scores[setting]

        header, _, part = TASKS[setting.task].title.partition(" ")
        return Column(
            f"{setting.task}_pct", header, lambda row: _shown(score(row)), part, "%", kind="text",
            why=lambda row: score(row).reason,
        )  # fmt: skip

    def _notes(self) -> list[str]:
        plan, records = self.plan, [row.record for row in self.rows if row.record is not None]
        return [
            f"Mean ± sample standard deviation over seeds of the share of labels that are right on "
            f"{PROBED[TEST]} maps, the same for every block. {STAR}: beyond the best guess from a position's "
            f"own symbols (chance), by a t-test over test maps with Holm's correction for all scores of this "
            f"run, p < {LEVEL:g}. It says that these networks use context, not how much another training, or "
            "a network of many layers, would.",
            "One answer a map: the best that says the same at every position; who knows what a map "
            "holds but not where reaches that. Ceiling: who sees what the label is read off.",
            "Every network: 1×1 to the channels, the block, both concatenated, 1×1, and a 1×1 classifier; "
            f"AdamW, about {POSITIONS} positions in a step, the learning rate of "
            f"{' or '.join(f'{rate:g}' for rate in plan.rates)} that does better on other maps; batch norms "
            "take their statistics anew at the end. Without a block no position sees another.",
            *([f"Cost: {caption(records)}."] if records else []),
        ]

    def to_frame(self) -> pd.DataFrame:
        """A row for each block and setting: accuracy by seed, the levels beside it, p, rate, and cost."""
        flat = [(row, setting, score) for row in self.rows for setting, score in row.scores.items()]
        return frame(FRAME, flat)


def _shown(score: Score) -> str | None:
    if score.mean is None:
        return None
    spread = "" if score.sd is None else f" ± {score.sd:.0f}"
    return f"{score.mean:.0f}{spread}{STAR * score.is_beyond}"


Flat = tuple[Row, Setting, Score]


FRAME: list[Column[Flat]] = [
    raw("module", lambda flat: flat[0].name, "text"),
    raw("family", lambda flat: flat[0].family, "text"),
    raw("task", lambda flat: flat[1].task, "text"),
    raw("trained_side", lambda flat: flat[1].trained, "int"),
    raw("tested_side", lambda flat: flat[1].tested, "int"),
    raw("accuracy_mean_pct", lambda flat: flat[2].mean),
    raw("accuracy_sd_points", lambda flat: flat[2].sd),
    raw("accuracy_by_seed_pct", lambda flat: " ".join(f"{one:.4f}" for one in flat[2].by_seed), "text"),
    raw("chance_pct", lambda flat: levels(flat[1].task, flat[1].tested).chance_pct),
    raw("one_answer_pct", lambda flat: levels(flat[1].task, flat[1].tested).one_answer_pct),
    raw("ceiling_pct", lambda flat: CEILING_PCT),
    raw("p_holm", lambda flat: flat[2].p),
    raw("beyond_chance", lambda flat: flat[2].is_beyond if flat[2].by_seed else None, "bool"),
    raw("rate", lambda flat: flat[2].rate),
    raw("reason", lambda flat: flat[2].reason or None, "text"),
    *costs(lambda flat: flat[0].record),
]


def write_probes(folder: Path, found: Probes) -> list[Path]:
    """Write ``probes.csv``, ``.md``, ``.tex``, ``.png``, ``.svg`` and ``report.html``; each file whole.

    Raises UserError where the folder cannot be written.
    """
    return write_result(
        folder, "probes", found.plan, found,
        title="What kind of context blocks can use",
        figures={"probes": heat_map(found.plan, found.rows)},
    )  # fmt: skip
