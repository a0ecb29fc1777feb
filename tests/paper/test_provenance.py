"""Where numbers are said to come from: of the measurement, never of the moment it is shown."""

from pathlib import Path

import pytest
from paper.tables.test_table1_to_6 import own

from ctxbench.errors import UserError
from ctxbench.paper.provenance import evaluated, origin, put_together, trained

NOW = {"cpu": "A CPU", "torch": "9.9", "ctxbench": "1.2.3"}
CPU = {**NOW, "began": "2026-01-02T03:04:05+00:00", "from_iteration": 0}
GPU = {**NOW, "gpu": "A GPU", "torch": "9.9+cu", "began": "2026-01-04T05:06:07+00:00"}


def test_origin_is_of_the_measurement_where_that_is_given() -> None:
    said = origin("cpu", ["ctxbench", "paper", "a b"], NOW, "2026-01-02T03:04:05+00:00")
    assert (
        said
        == "cpu (A CPU) · float32 · torch 9.9 · ctxbench 1.2.3 · 2026-01-02 03:04 UTC · ctxbench paper 'a b'"
    )


def test_origin_refuses_a_device_that_is_not_one() -> None:
    with pytest.raises(UserError, match="tpu"):
        origin("tpu", [])


def test_what_is_only_put_together_names_no_machine() -> None:
    said = put_together(["ctxbench", "paper", "table3"])
    assert said.startswith("put together by ctxbench ")
    assert said.endswith(" UTC · ctxbench paper table3")
    assert "cpu" not in said


def test_trainings_name_each_machine_and_when_they_began() -> None:
    assert trained([[CPU]], "32-true") == (
        "trained on cpu (A CPU), torch 9.9, ctxbench 1.2.3 · 32-true · begun 2026-01-02 03:04 UTC"
    )
    later = {**CPU, "began": "2026-01-03T00:00:00+00:00"}
    assert trained([[CPU, GPU], [later]], "bf16-mixed") == (
        "trained on cpu (A CPU), torch 9.9, ctxbench 1.2.3 and on cuda (A GPU), torch 9.9+cu, ctxbench 1.2.3"
        " · bf16-mixed · begun 2026-01-02 03:04 UTC to 2026-01-04 05:06 UTC"
    )
    assert "and on a machine that is not recorded · 32-true · begun" in trained([[CPU], []], "32-true")
    unknown = {**NOW, "from_iteration": 9}
    assert trained([[unknown]], "32-true").endswith(" · begun at a time that is not recorded")
    assert trained([[CPU, unknown]], "32-true").endswith(
        " · begun 2026-01-02 03:04 UTC, some at a time that is not recorded"
    )
    assert trained([[]], "32-true") == "trained on a machine that is not recorded · 32-true"


def test_an_evaluation_is_of_its_own_machine() -> None:
    run = own("ade20k", device="cuda", precision="bf16-mixed", environment=GPU)
    assert evaluated(run.evaluation) == "cuda (A GPU), bf16-mixed, torch 9.9+cu"
    assert evaluated(own("ade20k").evaluation) == "a machine that is not recorded"
    assert run.folder == Path("runs/ade20k")
