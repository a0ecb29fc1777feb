"""Table 7 of the paper: what each component of RecoNet adds (section 4.3)."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ctxbench.paper import printed
from ctxbench.paper.ablation.sheet import sheet, signed
from ctxbench.paper.sheet import Sheet
from ctxbench.study.executor import Show
from ctxbench.study.grid import Cell
from ctxbench.study.significance import APPEARED, DID_NOT
from ctxbench.study.study import MS_FLIP, Compared, Row, Study, trained
from ctxbench.study.trial import SINGLE_SCALE

RANK = 64
TITLE = "Table 7 of the paper, components"
SAME_BACKBONE = "not tested: here both rows have the same backbone, and are the same run"
PARTS = {
    "tgm_trm": "TGM+TRM",
    "gpm": "GPM",
    "aux_loss": "aux loss",
    "ms_flip": "MS/flip",
    "fine_tune": "FT",
}
"""The columns of the printed table, in words."""


def table7(
    study: Study,
    folder: Path,
    *,
    command: Sequence[str] = (),
    progress: Show | None = None,
    say: Callable[[str], None] | None = None,
) -> Sheet:
    """Train Table 7's rows in ``folder``, or go on with them, and hold the printed directions against them.

    Raises UserError as :func:`ctxbench.study.grid.run_grid` does.
    """
    found = trained(component_rows(study), study, folder, progress, say)
    return sheet("table7", TITLE, study, found, in_words(found), _notes(study), command)


def component_rows(study: Study) -> list[Row]:
    """The printed rows in their order, each compared with the one before."""
    rows: list[Row] = []
    for index, line in enumerate(printed.rows(7)):
        label = _label(line, printed.rows(7)[index - 1] if index else None)
        setting = MS_FLIP if line["ms_flip"] == "1" else SINGLE_SCALE
        larger = line["backbone"] == "ResNet-101"
        cell = Cell(label, study.config(larger, **_changes(line)), setting)
        if line["fine_tune"] == "1":
            cell = study.fine_tuned(rows[-1].cell, label)
        same = index > 0 and cell.trial(0) == _relabelled(rows[-1].cell, label).trial(0)
        rows.append(Row(cell, line["miou"], index - 1 if index else None, SAME_BACKBONE * same))
    return rows


def in_words(found: Sequence[Compared]) -> list[str]:
    """What the paper says of these rows, and whether it appeared."""
    return [_dominates(found), *map(_added, found[1:])]


def _changes(line: dict[str, str]) -> dict[str, Any]:
    context: dict[str, Any] = (
        {"context": "reconet", "context_options": {"rank": RANK}}
        if line["tgm_trm"] == "1"
        else {"context": "none", "context_options": {}}
    )
    return {**context, "global_pool": line["gpm"] == "1", "auxiliary": line["aux_loss"] == "1"}


def _relabelled(cell: Cell, label: str) -> Cell:
    return Cell(label, cell.config, cell.setting, cell.start)


def _dominates(found: Sequence[Compared]) -> str:
    """The claim that TGM+TRM's gain is by far the largest, held against the gains here."""
    claim = "The paper: TGM+TRM dominates the entire performance, the largest of all gains"
    gains = {one.row.cell.label: one.difference for one in found if one.difference is not None}
    ours = gains.get(found[1].row.cell.label)
    if ours is None:
        return f"{claim}. Here: not measured."
    label, largest = max(gains.items(), key=lambda item: item[1].mean)
    if largest is not ours:
        return (
            f"{claim}. Here it did not appear in the means: {signed(ours.mean)} points, and "
            f"{signed(largest.mean)} of {label.removeprefix('+ ')}."
        )
    if ours.mean <= 0:
        return f"{claim}. Here it did not appear: nothing gained, TGM+TRM {signed(ours.mean)} points."
    zero = "significantly above zero" if ours.significant else "not significantly above zero"
    return (
        f"{claim}. Here it is the largest in the means too: {signed(ours.mean)} points, {zero}; its lead "
        "over the other gains was not tested."
    )


def _label(line: dict[str, str], before: dict[str, str] | None) -> str:
    """What a row adds to the one before."""
    if before is None:
        return line["backbone"]
    if line["backbone"] != before["backbone"]:
        return f"{line['backbone']} instead"
    return "+ " + ", ".join(words for key, words in PARTS.items() if line[key] != before[key])


def _added(one: Compared) -> str:
    change = one.row.cell.label.removeprefix("+ ")
    paper = f"{change}: printed {signed(one.printed_gain or 0)} points"
    if one.difference is None:
        return f"{paper}; here {one.row.reason or 'not measured'}."
    said = {APPEARED: "the direction appeared", DID_NOT: "the opposite appeared"}.get(
        one.direction, "not significant"
    )
    return f"{paper}; here {signed(one.difference.mean)}, {said}."


def _notes(study: Study) -> list[str]:
    first, last = (component_rows(study)[index].cell.config for index in (0, -1))
    length = f"{last.iterations} iterations" if last.iterations else f"{last.epochs:g} epochs"
    return [
        f"Each row has all that the rows before it have. TGM+TRM: rank {RANK}. FT: trained on from the last "
        f"weights of the row before, on {last.dataset}, {length} at a learning rate of {last.lr:g} instead "
        f"of {first.lr:g}, the paper's proportions on VOC 2012."
    ]
