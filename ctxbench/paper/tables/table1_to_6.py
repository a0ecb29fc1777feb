"""Tables 1 to 6: the printed scores, with the user's own evaluated runs placed in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ctxbench.paper import printed
from ctxbench.paper.offers.evaluations import PAPERS_SETTING, SINGLE_SCALE
from ctxbench.paper.offers.training_presets import PRESETS
from ctxbench.paper.own_runs import REPORTED, OwnRun, Placed, for_table, place
from ctxbench.paper.provenance import evaluated
from ctxbench.paper.sheet import Sheet
from ctxbench.paper.tables.table1 import table1
from ctxbench.paper.tables.table2_to_6 import table2_to_6


def results_table(
    table: int, runs: Sequence[OwnRun], *, source: str, skip_other_datasets: bool = False
) -> Sheet:
    """Table 1 to 6 as printed, with ``runs`` as further rows, or columns of Table 1.

    ``source`` is the sheet's origin. Runs of another data set are left out with ``skip_other_datasets``,
    else refused: UserError names the first.
    """
    chosen, none = for_table(runs, table, skip_other_datasets=skip_other_datasets)
    if table == 1:
        return table1(chosen, none, commands(1), source=source)
    return table2_to_6(table, chosen, none, commands(table), source=source)


def miou_columns(runs: Sequence[OwnRun]) -> dict[str, dict[str, Placed]]:
    """Table 9's scores: by a network's name, ``miou_ss`` and ``miou_ms_flip`` beside the printed ones.

    ``runs`` are of the table's data set; those of other networks or scales have no place there. Of several
    for one place, the first that is comparable stands, else the first.
    """
    rows = {printed.plain_name(row["method"]): row for row in printed.rows(9) if row["miou_ss"]}
    settings = {"miou_ss": SINGLE_SCALE, "miou_ms_flip": PAPERS_SETTING}
    columns: dict[str, dict[str, Placed]] = {}
    for run in runs:
        row = rows.get(run.evaluation.network)
        name = next((key for key, words in settings.items() if words == run.evaluation.setting), None)
        if row is None or name is None:
            continue
        placed = place(
            run.evaluation.miou,
            row[name],
            run.differing_settings(9, row["method"]),
            run.incomparable_reason(),
        )
        placed = replace(placed, on=evaluated(run.evaluation))
        standing = columns.setdefault(run.evaluation.network, {}).setdefault(name, placed)
        if standing.difference is None and placed.difference is not None:
            columns[run.evaluation.network][name] = placed
    return columns


def commands(table: int) -> str:
    """The commands that would place a run in Table 1 to 6 or 9."""
    preset = PRESETS[REPORTED[table].preset]
    folder = f"runs/{preset.name}"
    return (
        f"{preset.command} && ctxbench eval {folder} --ms-flip && ctxbench paper table{table} --run {folder}"
    )
