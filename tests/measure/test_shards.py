"""A run in shards: which cases a shard has, and what its plan says of it."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxbench.errors import UserError
from ctxbench.measure.folder import PLAN, Plan, RunFolder
from ctxbench.measure.shards import Shard, dealt
from ctxbench.subject.case import Case

cases = st.builds(
    Case,
    st.sampled_from(["se", "emau", "cam"]),
    st.sampled_from([16, 32]),
    st.sampled_from([8, 64]),
    st.sampled_from([8, 16]),
    dtype=st.sampled_from(["float32", "bfloat16"]),
    mode=st.sampled_from(["infer", "train"]),
    runtime=st.sampled_from(["eager", "compile"]),
    threads=st.sampled_from([None, 1, 2]),
)
several = st.lists(cases, min_size=1, max_size=24, unique_by=lambda case: case.id)


@settings(max_examples=20)
@given(several, st.integers(1, 6), st.randoms(use_true_random=False))
def test_every_case_is_in_one_shard_and_each_has_its_share_of_each_kind(
    grid: list[Case], count: int, random: object
) -> None:
    count = min(count, len(grid))
    parts = [dealt(grid, number, count)[1] for number in range(1, count + 1)]
    assert Counter(case.id for part in parts for case in part) == Counter(case.id for case in grid)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    for kind in {(case.runtime, case.mode, case.input_bytes) for case in grid}:
        shares = [sum((c.runtime, c.mode, c.input_bytes) == kind for c in part) for part in parts]
        assert max(shares) - min(shares) <= 1
    place = {case.id: number for number, case in enumerate(grid)}
    for part in parts:
        assert [place[case.id] for case in part] == sorted(place[case.id] for case in part)
    shuffled = list(grid)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for number, part in enumerate(parts, start=1):
        shard, again = dealt(shuffled, number, count)
        assert {case.id for case in again} == {case.id for case in part}
        assert shard == dealt(grid, number, count)[0]
        assert (shard.number, shard.count, shard.cases) == (number, count, len(grid))


def test_shards_of_other_cases_are_of_another_whole() -> None:
    one, two = Case("se", 16, 8, 8), Case("se", 16, 8, 9)
    assert dealt([one], 1, 1)[0].whole != dealt([two], 1, 1)[0].whole


@pytest.mark.parametrize(
    ("number", "count", "said"),
    [(0, 2, "no shard 0/2"), (3, 2, "no shard 3/2"), (1, 0, "no shard 1/0"), (-1, -1, "no shard"),
     (2, 2, "shard 2/2 is empty: the cases in all are 1")],
)  # fmt: skip
def test_a_shard_that_is_none_is_refused(number: int, count: int, said: str) -> None:
    with pytest.raises(UserError, match=said):
        dealt([Case("se", 16, 8, 8)] * 3, number, count)


def test_a_plan_keeps_its_shard_and_one_of_all_cases_says_nothing_of_it(tmp_path: Path) -> None:
    plan = Plan((Case("se", 16, 8, 8),), shard=Shard(2, 8, 256, "0123456789ab"))
    with RunFolder.create(tmp_path / "part", plan):
        pass
    assert Plan.read(tmp_path / "part") == plan
    with RunFolder.create(tmp_path / "whole", replace(plan, shard=None)):
        pass
    assert "shard" not in json.loads((tmp_path / "whole" / PLAN).read_text())
    assert Plan.read(tmp_path / "whole").shard is None


def test_a_shard_that_no_shard_can_be_is_damage(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "run", Plan((Case("se", 16, 8, 8),), shard=Shard(1, 1, 1, "x"))):
        pass
    path = tmp_path / "run" / PLAN
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "shard": {**values["shard"], "count": 0}}))
    with pytest.raises(UserError, match=r"run\.json is damaged: .*count"):
        Plan.read(tmp_path / "run")
