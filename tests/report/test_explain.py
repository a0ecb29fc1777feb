import re

import pytest

from ctxbench import api
from ctxbench.report.explain import MAX_ROWS, Explanation


@pytest.fixture(scope="module")
def published() -> Explanation:
    return api.explain("reconet", (1, 16, 8, 8), implementation="published", counters=(), options={"rank": 8})


def test_many_modules_are_folded_into_one_row_and_lose_nothing(published: Explanation) -> None:
    by_operation, by_module = (grid.groups[0].rows for grid in published.grids()[1:3])
    assert len(by_module) == MAX_ROWS + 1
    assert re.fullmatch(r"\(\d+ others\)", by_module[-1][0].text)
    calls = [sum(int(row[1].text) for row in rows) for rows in (by_operation, by_module)]
    assert calls[0] == calls[1]


def test_it_reads_at_100_columns() -> None:
    told = str(api.explain("nonlocal", (1, 512, 64, 64), mode="train", counters=()))
    assert max(map(len, told.splitlines())) <= 100
    assert "\n\nbackward, by operation\n" in told
    assert not re.search(r" +$", told, flags=re.M)
