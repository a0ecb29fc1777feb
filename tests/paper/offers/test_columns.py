"""The columns of every table of the paper: each has a name of its own, and what gives way is meant to."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from paper.tables.test_table1_to_6 import own
from synthetic import MODULES, record, records, write_run

from ctxbench.paper import comparison_sheet, ledger
from ctxbench.paper.offers.columns import record_extra, record_sheets
from ctxbench.paper.own_runs import OwnRun
from ctxbench.paper.tables import fig5, growth
from ctxbench.paper.tables.table1_to_6 import results_table
from ctxbench.paper.tables.table10 import table10
from ctxbench.report import count, explain
from ctxbench.report.columns import columns
from ctxbench.report.comparison.compare import compare_runs
from ctxbench.table.column import Column
from ctxbench.table.grid import Grid


def compared() -> list[Column]:
    """The columns of two runs that were compared."""
    with TemporaryDirectory() as folder:
        return compare_runs(*(write_run(Path(folder, name), records()) for name in "ab"))._columns()


SAID = {
    "records": columns(records()),
    "compare": compared(),
    "count": count.COUNT,
    "opinion": explain.OPINION,
    "leaf": explain.LEAF,
    "table10": comparison_sheet.ROW,
    "ledger": ledger.COLUMNS,
    "fig5": fig5.COLUMNS,
    "growth": growth.COLUMNS,
}


@pytest.mark.parametrize("table", SAID)
def test_no_two_columns_have_one_name(table: str) -> None:
    names = [column.name for column in SAID[table]]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("table", SAID)
def test_a_column_that_is_only_at_full_precision_has_no_rank_and_the_first_never_gives_way(
    table: str,
) -> None:
    shown = [column for column in SAID[table] if column.in_grid]
    assert shown[0].rank == 0
    assert all(column.in_grid or column.in_frame for column in SAID[table])
    assert not any(column.rank for column in SAID[table] if not column.in_grid)


def test_columns_of_records_say_what_they_mean() -> None:
    assert all(column.about.endswith(".") for column in columns(records()))


def hidden(grid: Grid, few: int) -> set[str]:
    """The columns that go first, down to ``few``."""
    by_rank = sorted(
        (heading for heading in grid.headings if heading.rank), key=lambda heading: -heading.rank
    )
    return {heading.name for heading in by_rank[:few]}


def test_printed_columns_go_before_measured_ones() -> None:
    extra: list[Column] = [*record_extra(records()).columns]
    others = [column for column in columns(records()) if column not in extra]
    assert min(column.rank for column in extra) > max(column.rank for column in others)


def test_the_comparison_gives_up_its_uniform_counts_first_and_never_a_printed_number(tmp_path) -> None:
    (alone,) = record_sheets(records())
    assert hidden(alone, 3) == {"published_macs", "fast_macs", "published_ratio"}
    forms = [record(module, implementation=form) for module in MODULES for form in ("fast", "published")]
    write_run(tmp_path / "table10", forms, ctxbench="1.2.3")
    grid = table10(tmp_path).grid
    assert hidden(grid, 2) == {"published_gflops", "fast_gflops"}
    kept = {heading.name for heading in grid.headings if not heading.rank}
    assert {"printed_gflops", "printed_mib", "verdict", "fast_lat_median_ms"} <= kept


@pytest.mark.parametrize("table", range(1, 7))
@pytest.mark.parametrize("placed", [True, False])
def test_tables_of_scores_have_distinct_headings_and_numbers(table: int, placed: bool) -> None:
    runs: list[OwnRun] = [
        own(name) for name in ("voc12aug", "pascal_context", "coco_stuff", "sift_flow", "ade20k")
    ]
    sheet = results_table(table, runs if placed else [], source="here", skip_other_datasets=True)
    for names in ([heading.name for heading in sheet.grid.headings], [*sheet.frame.columns]):
        assert len(names) == len(set(names))
    assert len(sheet.frame) == sum(len(group.rows) for group in sheet.grid.groups)
