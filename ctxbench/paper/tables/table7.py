"""Table 7 of the paper: what each component of RecoNet adds (section 4.3)."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ctxbench.paper import printed
from ctxbench.paper.ablation.settings import MS_FLIP, Study, trained
from ctxbench.paper.ablation.sheet import sheet
from ctxbench.paper.sheet import Sheet
from ctxbench.study.cells import Show
from ctxbench.study.whole.rows import APPEARED, DID_NOT, Result, Row
from ctxbench.study.whole.trial import SINGLE_SCALE
from ctxbench.table.column import signed

RANK = 64
TITLE = "Table 7 of the paper, components"
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

    Raises UserError as :func:`ctxbench.study.whole.grid.run_grid` does.
    """
    results = trained(component_rows(study), study, folder, progress, say)
    return sheet("table7", TITLE, study, results, in_words(results), _notes(study), command)


def component_rows(study: Study) -> list[Row]:
    """The printed rows in their order, each compared with the one before."""
    rows: list[Row] = []
    for index, line in enumerate(printed.rows(7)):
        label = _label(line, printed.rows(7)[index - 1] if index else None)
        setting = MS_FLIP if line["ms_flip"] == "1" else SINGLE_SCALE
        larger = line["backbone"] == "ResNet-101"
        row = Row(label, study.config(larger, **_changes(line)), setting)
        if line["fine_tune"] == "1":
            row = study.fine_tuned(rows[-1], label)
        rows.append(replace(row, reference=index - 1 if index else None, printed=line["miou"]))
    return rows


def in_words(results: Sequence[Result]) -> list[str]:
    """What the paper says of these rows, and whether it appeared."""
    return [_dominates(results), *map(_added, results[1:])]


def _changes(line: dict[str, str]) -> dict[str, Any]:
    context: dict[str, Any] = (
        {"context": "reconet", "context_options": {"rank": RANK}}
        if line["tgm_trm"] == "1"
        else {"context": "none", "context_options": {}}
    )
    return {**context, "global_pool": line["gpm"] == "1", "auxiliary": line["aux_loss"] == "1"}


def _dominates(results: Sequence[Result]) -> str:
    """The claim that TGM+TRM's gain is by far the largest, held against the gains here."""
    claim = "The paper: TGM+TRM dominates the entire performance, the largest of all gains"
    gained = [result for result in results if result.gain is not None]
    tgm_trm = results[1]
    if tgm_trm.gain is None:
        return f"{claim}. Here: not measured."
    largest = max(gained, key=lambda result: result.gain or 0.0)
    if largest is not tgm_trm:
        return (
            f"{claim}. Here it did not appear in the means: {signed(tgm_trm.gain)} points, and "
            f"{signed(largest.gain or 0.0)} of {largest.row.label.removeprefix('+ ')}."
        )
    if tgm_trm.gain <= 0:
        return f"{claim}. Here it did not appear: nothing gained, TGM+TRM {signed(tgm_trm.gain)} points."
    zero = "significantly above zero" if tgm_trm.significant else "not significantly above zero"
    return (
        f"{claim}. Here it is the largest in the means too: {signed(tgm_trm.gain)} points, {zero}; its lead "
        "over the other gains was not tested."
    )


def _label(line: dict[str, str], before: dict[str, str] | None) -> str:
    """What a row adds to the one before."""
    if before is None:
        return line["backbone"]
    if line["backbone"] != before["backbone"]:
        return f"{line['backbone']} instead"
    return "+ " + ", ".join(words for key, words in PARTS.items() if line[key] != before[key])


def _added(result: Result) -> str:
    change = result.row.label.removeprefix("+ ")
    paper = f"{change}: printed {signed(result.printed_gain or 0)} points"
    if result.gain is None:
        return f"{paper}; here not measured."
    verdicts = {APPEARED: "the direction appeared", DID_NOT: "the opposite appeared"}
    return f"{paper}; here {signed(result.gain)}, {verdicts.get(result.direction, 'not significant')}."


def _notes(study: Study) -> list[str]:
    first, last = (component_rows(study)[index].config for index in (0, -1))
    return [
        f"Each row has all that the rows before it have. TGM+TRM: rank {RANK}. FT: trained on from the last "
        f"weights of the row before, on {last.dataset}, {last.length} at a learning rate of {last.lr:g} "
        f"instead of {first.lr:g}, the paper's proportions on VOC 2012."
    ]
