"""Choosing by accuracy: what a study does not tell apart is not recommended as better."""

from dataclasses import replace

import pytest
from matplotlib.text import Text
from synthetic import record

from ctxbench.measure.records import Accuracy, Record
from ctxbench.report.choosing.choice import Task, tasks
from ctxbench.report.choosing.figure import fronts
from ctxbench.report.choosing.quantities import QUANTITIES, limits
from ctxbench.report.several import Origin

MIOU = {"nonlocal": 24.0, "rcca": 23.5, "emau": 23.0, "reconet": 18.0}
"""From the slowest to the quickest."""


def blocks(
    p: dict[tuple[str, str], float | None], miou: dict[str, float] = MIOU, **found: object
) -> list[Record]:
    """Records with accuracies; ``p`` is of pairs of blocks, 0 for those it lacks."""
    bare = {module: record(module) for module in miou}

    def accuracy(module: str) -> Accuracy:
        of = {one.case.id: p.get((module, other), p.get((other, module), 0.0)) for other, one in bare.items()}
        usual = {"low_pct": miou[module] - 1, "high_pct": miou[module] + 1, "none_pct": 17.0, "p_none": 0.01}
        return Accuracy(miou[module], p=of, study="made up", **{**usual, **found})  # type: ignore[arg-type]

    return [replace(one, accuracy=accuracy(module)) for module, one in bare.items()]


def task(rows: list[Record], best: str = "accuracy", least: tuple[str, ...] = ()) -> Task:
    (only,) = tasks(rows, limits(least=least), QUANTITIES[best])
    return only


def test_what_is_surely_best_is_taken_and_the_next_is_named() -> None:
    judged = task(blocks({}))
    assert [row.record.case.module for row in judged.rows] == [*MIOU]
    assert judged.advice == (
        "Take Non-Local: most accuracy of the 4 rows that fit, 24.0 % (23.0 to 25.0 %); next is RCCA, 23.5 % "
        "(22.5 to 24.5 %). No context module, which costs nothing, reaches 17.0 %: Non-Local has surely more."
    )


def test_of_what_the_study_does_not_tell_apart_the_quickest_is_taken() -> None:
    judged = task(
        blocks({("nonlocal", "rcca"): 0.2, ("nonlocal", "emau"): 0.02, ("nonlocal", "reconet"): 0.01})
    )
    # three blocks are held against the first: 0.02 · 3 is no 0.05, 0.01 · 3 is
    assert [row.record.case.module for row in judged.alike] == ["nonlocal", "rcca", "emau"]
    assert judged.recommended.record.case.module == "emau"
    assert judged.advice.startswith(
        "Take EMAUnit, 23.0 % (22.0 to 24.0 %): the quickest of 3 that the study does not tell apart; most "
        "accuracy of the 4 rows that fit is that of Non-Local, 24.0 % (23.0 to 25.0 %)."
    )


def test_the_best_is_taken_where_what_is_alike_is_not_quicker() -> None:
    judged = task(blocks({("emau", "rcca"): 0.5}, {"emau": 23.2, "rcca": 23.0}))
    assert judged.advice.startswith(
        "Take EMAUnit: most accuracy of the 2 rows that fit, 23.2 % (22.2 to 24.2 %); the study does not "
        "tell it from RCCA, not quicker."
    )


def test_one_seed_tells_nothing() -> None:
    pairs = {(a, b): None for a in MIOU for b in MIOU}
    judged = task(blocks(pairs, low_pct=None, high_pct=None, p_none=None), least=("accuracy=20%",))
    assert {row.verdict for row in judged.rows} == {"unsure"}
    judged = task(blocks(pairs, low_pct=None, high_pct=None, p_none=None))
    assert judged.recommended.record.case.module == "reconet"
    assert judged.advice.endswith(
        "No context module, which costs nothing, reaches 17.0 %: TGM+TRM is not told from that."
    )


def test_what_is_surely_worse_than_no_context_is_said_to_be() -> None:
    assert task(blocks({}, none_pct=60.0)).advice.endswith("reaches 60.0 %: Non-Local has surely less.")


def test_a_least_is_kept_by_the_whole_interval_and_missed_in_points() -> None:
    judged = task(blocks({}), "latency", ("accuracy=22.2%",))
    assert [(row.record.case.module, row.verdict) for row in judged.rows] == [
        ("rcca", "fits"), ("nonlocal", "fits"), ("emau", "unsure"), ("reconet", "misses"),
    ]  # fmt: skip
    assert [row.misses for row in judged.rows][2:] == [
        "accuracy 22.0 to 24.0 % against 22.2 %", "accuracy −4.2 points",
    ]  # fmt: skip
    nothing = replace(record("emau"), accuracy=Accuracy(0.0, low_pct=0.0, high_pct=0.0))
    assert task([nothing], "latency", ("accuracy=22%",)).rows[0].verdict == "misses"


def test_what_was_not_studied_stands_last_and_is_not_judged() -> None:
    failed = replace(record("apcnet"), accuracy=Accuracy(None, "the loss is nan at step 1 (seed 0, 1)"))
    judged = task([failed, record("a2net"), *blocks({})], least=("accuracy=10%",))
    assert {why: [row.record.case.module for row in rows] for why, rows in judged.unknown.items()} == {
        "accuracy: the loss is nan at step 1 (seed 0, 1)": ["apcnet"],
        "accuracy: not in a study": ["a2net"],
    }
    assert judged.recommended.record.case.module == "nonlocal"


def test_the_front_is_what_nothing_is_quicker_and_better_than() -> None:
    rows = blocks({}, {**MIOU, "rcca": 22.0})
    on = {row.record.case.module for row in task(rows).rows if "accuracy" in row.fronts}
    assert on == {"nonlocal", "emau", "reconet"}  # RCCA is slower than EMAU, and not better
    two = [replace(one, origin=Origin("AB"[i % 2], f"{i % 2}")) for i, one in enumerate(rows)]
    assert not any("accuracy" in row.fronts for row in task(two, "latency").rows)


@pytest.mark.slow
def test_the_figure_has_a_panel_of_accuracy_with_its_intervals_and_the_budget() -> None:
    budget = limits(least=["accuracy=20%"])
    figure = fronts(task(blocks({}), "latency", ("accuracy=20%",)), budget)
    panel = figure.axes[-1]
    assert panel.get_ylabel() == "accuracy mIoU [%]"
    assert [axes.get_ylabel() for axes in fronts(task([record(m) for m in MIOU], "latency"), ()).axes] == [
        axes.get_ylabel() for axes in figure.axes[:-1]
    ]
    low, high = panel.get_ylim()
    assert low < 17
    assert high > 25
    spans = [line.get_ydata() for line in panel.lines if len(line.get_ydata()) == 2]
    assert [23.0, 25.0] in [[*map(float, ends)] for ends in spans]
    assert [20.0, 20.0] in [[*map(float, ends)] for ends in spans]
    assert "Non-Local" in {text.get_text() for text in panel.findobj(Text)}


def test_latency_without_rounds_is_the_slowest() -> None:
    pairs = {(a, b): 0.9 for a in MIOU for b in MIOU}
    rows = [replace(one, rounds_ms=[]) if one.case.module == "reconet" else one for one in blocks(pairs)]
    assert task(rows).recommended.record.case.module == "emau"
