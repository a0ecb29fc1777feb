"""What fits, what does not and by how much, the fronts, and which row is taken and why."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from synthetic import MODULES, record, records, rounds, write_run

import ctxbench
from ctxbench.measure.records import Record
from ctxbench.report.choosing.choice import Task, tasks
from ctxbench.report.choosing.figure import fronts
from ctxbench.report.choosing.quantities import QUANTITIES, limits


def under(changes: dict[str, object], module: str = "emau", **fields: object) -> Record:
    """A record of a module under other conditions."""
    own = record(module, **fields)
    return replace(own, case=replace(own.case, **changes))


def task(rows: list[Record], most: tuple[str, ...] = (), least: tuple[str, ...] = (), best="latency") -> Task:
    (only,) = tasks(rows, limits(most, least), QUANTITIES[best])
    return only


def verdicts(judged: Task) -> dict[str, str]:
    return {row.record.case.module: row.verdict for row in judged.rows}


def test_what_fits_is_what_keeps_every_budget_by_its_whole_interval() -> None:
    judged = task(records(), ("latency=60ms", "memory=25MiB"))
    kept = [r.case.module for r in records() if r.latency.hi_ms <= 60 and r.alloc_bytes <= 25 * 2**20]
    assert kept == ["reconet", "a2net", "afnb", "latentgnn"]
    assert {module for module, verdict in verdicts(judged).items() if verdict == "fits"} == {*kept}
    by_latency = sorted(kept, key=lambda module: record(module).latency.median_ms)
    assert [row.record.case.module for row in judged.rows][:4] == by_latency
    assert judged.recommended is judged.rows[0]
    assert judged.advice.startswith("Take TGM+TRM: least latency of the 4 rows that fit, ")


def test_a_row_that_misses_says_which_budget_and_by_how_much() -> None:
    judged = task(records(), ("latency=100ms", "memory=66MiB"))
    missed = {row.record.case.module: row.misses for row in judged.rows if row.verdict == "misses"}
    assert {*missed} == {"nonlocal", "apcnet"}
    ratio = record("nonlocal").latency.median_ms / 100
    assert missed["nonlocal"] == f"latency +{100 * (ratio - 1):.0f} %, memory ×2.00"
    assert "memory +9.1 %" in missed["apcnet"]
    slow = task([record("nonlocal")], least=("throughput=10/s",))
    rate = 1000 / record("nonlocal").latency.median_ms / 10
    assert slow.rows[0].misses == f"throughput −{100 * (1 - rate):.0f} %"


def test_an_interval_that_holds_the_budget_is_neither_a_fit_nor_a_miss() -> None:
    noisy = record("emau", rounds_ms=rounds(50, seed=1, spread=0.3))
    low, high = noisy.latency.lo_ms, noisy.latency.hi_ms
    for budget, verdict in ((low * 0.99, "misses"), ((low + high) / 2, "unsure"), (high * 1.01, "fits")):
        judged = task([noisy, record("nonlocal")], (f"latency={budget}ms",))
        assert verdicts(judged)["emau"] == verdict
        assert (judged.recommended is None) == (verdict != "fits")
    judged = task([noisy, record("nonlocal")], (f"latency={(low + high) / 2:.4g}ms",))
    assert judged.advice == (
        f"Nothing surely fits. EMAUnit may: latency {low:.1f} to {high:.1f} ms against "
        f"{(low + high) / 2:.4g} ms."
    )


def test_too_few_rounds_for_an_interval_leave_a_row_unsure() -> None:
    few = record("emau", rounds_ms=rounds(50, seed=1, count=3))
    judged = task([few], ("latency=60ms",))
    assert judged.rows[0].verdict == "unsure"
    assert "ms without an interval against 60 ms" in judged.rows[0].misses


def test_a_lower_bound_can_miss_a_budget_and_never_keep_one() -> None:
    unknown = record("emau", unknown_ops={"mine::op": 2})
    macs = unknown.macs / 1e9
    assert task([unknown], (f"macs={2 * macs}G",)).rows[0].verdict == "unsure"
    assert task([unknown], (f"macs={macs / 2}G",)).rows[0].verdict == "misses"
    assert not any(row.fronts == ("memory", "macs") for row in task([unknown]).rows)


def test_a_row_that_was_not_measured_is_never_taken() -> None:
    crashed = record("reconet", status="crashed", reason="signal 11", rounds_ms=[])
    judged = task([crashed, record("emau")], best="macs")
    assert verdicts(judged) == {"emau": "fits", "reconet": "not known"}
    assert judged.recommended.record.case.module == "emau"
    assert judged.rows[-1].misses == "crashed"
    alone = task([crashed], ("macs=100G",))
    assert alone.advice == "Nothing fits: of no row is all known that there is a budget of."


def test_nothing_fits_names_the_nearest_and_how_far_it_is() -> None:
    judged = task(records(), ("latency=1ms", "memory=16MiB"))
    excess = {r.case.module: max(r.latency.median_ms / 1, r.alloc_bytes / 2**20 / 16) for r in records()}
    nearest = min(excess, key=excess.get)
    assert nearest == "reconet"
    assert (
        judged.advice == f"Nothing fits. Nearest is TGM+TRM: latency ×{excess[nearest]:.3g}, memory +7.5 %."
    )


def test_the_next_best_is_named_and_whether_it_is_surely_worse() -> None:
    first = record("emau", rounds_ms=rounds(50, seed=1, spread=0.3))
    close = record("afnb", rounds_ms=rounds(52, seed=2, spread=0.3))
    assert "; not surely less than " in task([first, close]).advice
    assert "; next is Non-Local, " in task([first, record("nonlocal")]).advice
    assert task([first], ("memory=1GiB",)).advice.startswith(
        "Take EMAUnit: least latency of the one row that fits, "
    )


def test_of_equal_counts_the_quicker_is_taken() -> None:
    slow = under({"runtime": "compile"}, rounds_ms=rounds(90, seed=1))
    judged = task([slow, record("emau")], best="macs")
    assert [row.under for row in judged.rows] == ["eager", "compiled"]
    assert "as much as EMAUnit (compiled), which is not quicker" in judged.advice


def test_rows_of_which_a_budget_is_not_known_are_named_with_the_reason() -> None:
    why = "the runtime takes its memory elsewhere"
    elsewhere = under({"runtime": "compile"}, alloc_bytes=None, reasons={"alloc_bytes": why})
    slow = under({"runtime": "compile"}, "nonlocal", alloc_bytes=None)
    judged = task([elsewhere, slow, record("emau")], ("memory=1GiB", "latency=100ms"))
    assert [row.verdict for row in judged.rows] == ["fits", "misses", "not known"]
    assert {said: [row.label for row in rows] for said, rows in judged.unknown.items()} == {
        f"memory: {why}": ["EMAUnit (compiled)"]
    }


def test_the_best_may_be_known_of_no_row_that_fits() -> None:
    bare = record("emau", process_bytes=None, reasons={"process_bytes": "no high-water mark"})
    judged = task([bare], ("latency=1s",), best="process")
    assert judged.recommended is None
    assert judged.fitting
    assert judged.advice == "1 fit, but the process of none of them is known: no high-water mark."


points = st.tuples(st.integers(1, 6), st.integers(0, 6))


@settings(max_examples=30)
@given(st.lists(points, min_size=1, max_size=6))
def test_a_row_is_on_the_front_where_no_other_beats_it_in_both(drawn: list[tuple[int, int]]) -> None:
    rows = [
        under({"channels": 8, "batch": 1, "options": {"n": i}}, rounds_ms=[[float(ms)]] * 5, macs=macs)
        for i, (ms, macs) in enumerate(drawn)
    ]
    judged = task(rows)
    for row in judged.rows:
        own = row.record.latency.median_ms, row.record.macs
        beaten = any(x <= own[0] and y <= own[1] and (x, y) != own for x, y in drawn)
        assert ("macs" in row.fronts) == (not beaten)


def test_rows_that_do_other_work_are_chosen_from_apart() -> None:
    rows = [*records(32, 32), *records()]
    small, large = tasks(rows, limits(["latency=20ms"]), QUANTITIES["latency"])
    assert [small.label, large.label] == ["input 1×512×32×32", "input 1×512×64×64"]
    assert [len(small.rows), len(large.rows)] == [8, 8]
    assert len(small.fitting) > len(large.fitting) == 1
    trained = [under({"mode": mode}) for mode in ("infer", "train")]
    assert [t.label for t in tasks(trained, (), QUANTITIES["latency"])] == ["infer", "train"]


def test_batches_are_compared_where_images_a_second_are_asked_for() -> None:
    of_eight = under({"batch": 8}, rounds_ms=rounds(200, seed=1))
    rows = [record("emau"), of_eight]
    assert len(tasks(rows, limits(["latency=1s"]), QUANTITIES["latency"])) == 2
    judged = task(rows, ("latency=300ms",), best="throughput")
    assert judged.recommended.under == "batch 8"
    assert judged.label == ""
    assert task(rows, ("latency=100ms",), ("throughput=10/s",)).recommended.under == "batch 1"


def test_rows_of_several_runs_are_told_apart_and_their_environments_compared(tmp_path: Path) -> None:
    quick = write_run(tmp_path / "quick", [record("emau", rounds_ms=rounds(20, seed=3))], cpu="Other CPU")
    usual = write_run(tmp_path / "usual", records())
    chosen = ctxbench.choose(usual, quick, max="memory=30MiB")
    (only,) = chosen.tasks
    assert len(only.rows) == len(MODULES) + 1
    assert [row.name for row in only.rows if "EMAUnit" in row.name] == ["EMAUnit, B", "EMAUnit, A"]
    assert {row.under for row in only.rows} == {""}
    said = " ".join(str(chosen).split())
    assert "the code may not be the cause: cpu: cpu Synthetic CPU in A, Other CPU in B." in said
    assert set(chosen.to_frame()["run"]) == {str(usual), str(quick)}
    assert "Environments differ" not in str(ctxbench.choose(usual))


def test_where_holds_conditions(tmp_path: Path) -> None:
    rows = [record(module, size, size) for module in ("emau", "reconet") for size in (32, 64)]
    run = write_run(tmp_path / "run", rows)
    (only,) = ctxbench.choose(run, where="size == 32 and module != 'reconet'").tasks
    assert [(row.record.case.module, row.record.case.height) for row in only.rows] == [("emau", 32)]


def test_the_frame_has_every_row_with_its_verdict_and_how_far_it_is_off(tmp_path: Path) -> None:
    rows = [record(module, size, size) for module in ("nonlocal", "reconet") for size in (32, 64)]
    chosen = ctxbench.choose(write_run(tmp_path / "run", rows), max=["latency=30ms", "memory=20MiB"])
    table = chosen.to_frame()
    assert len(table) == 4
    at = table.set_index(["module", "height"]).loc[("nonlocal", 64)]
    assert at["latency_off_pct"] == pytest.approx(100 * (at["lat_median_ms"] / 30 - 1))
    assert at["memory_off_pct"] == pytest.approx(100 * (at["mem_alloc_mib"] / 20 - 1))
    assert table.groupby("height")["recommended"].sum().tolist() == [1, 1]
    assert table["verdict"].tolist() == ["fits", "misses", "fits", "misses"]
    assert repr(chosen).startswith("<Choice latency ≤ 30 ms, memory ≤ 20 MiB: 2 fits, 2 misses;")


@pytest.mark.slow
def test_a_folder_gets_the_table_and_a_figure_for_each_task(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [*records(32, 32), *records()])
    chosen = ctxbench.choose(run, max=["latency=30ms", "memory=20MiB"], out=tmp_path / "out")
    written = {path.name for path in (tmp_path / "out").iterdir()}
    stems = ["fronts-input-1-512-32-32", "fronts-input-1-512-64-64"]
    pictures = [f"{stem}.{kind}" for stem in stems for kind in ("png", "svg")]
    assert written == {"choice.csv", "choice.md", "choice.tex", *pictures}
    table = pd.read_csv(tmp_path / "out" / "choice.csv")
    assert table["verdict"].tolist() == chosen.to_frame()["verdict"].tolist()
    markdown = (tmp_path / "out" / "choice.md").read_text()
    assert [name for name in pictures if f"({name})" in markdown] == pictures[::2]
    assert r"\label{tab:choice-2}" in (tmp_path / "out" / "choice.tex").read_text()


@pytest.mark.parametrize("number", [8, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 16))])
def test_the_figure_names_what_matters_and_covers_nothing(number: int) -> None:
    rows = [
        under({"threads": i + 1, "dtype": "bfloat16" if i % 2 else "float32"}, MODULES[i % 8])
        for i in range(number)
    ]
    judged = task(rows, ("latency=60ms", "memory=25MiB"))
    figure = fronts(judged, limits(["latency=60ms", "memory=25MiB"]))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    for axes, of in zip(figure.axes, ("memory", "macs"), strict=True):
        needed = [row for row in judged.rows if of in row.fronts or row is judged.recommended]
        named = {text.get_text() for text in axes.texts}
        assert {f"{row.name}\n{row.under}" for row in needed} <= named
        inside = axes.get_window_extent(renderer).padded(1)
        boxes = [Text.get_window_extent(text, renderer) for text in axes.texts]
        at = [
            line.get_xydata()[0]
            for line in axes.lines
            if line.get_markersize() == 5 and len(line.get_xdata()) == 1
        ]
        markers = axes.transData.transform(at)
        assert len(markers) == number
        for i, box in enumerate(boxes):
            assert inside.contains(box.x0, box.y0)
            assert inside.contains(box.x1, box.y1)
            assert not any(box.padded(-0.6).overlaps(other.padded(-0.6)) for other in boxes[:i])
            assert not any(box.contains(*marker) for marker in markers)
    for text in figure.texts:
        box = text.get_window_extent(renderer)
        assert figure.bbox.x0 <= box.x0 <= box.x1 <= figure.bbox.x1


def test_one_row_makes_no_figure() -> None:
    assert fronts(task([record("emau")]), ()) is None
    assert fronts(task([record("emau", rounds_ms=[]), record("afnb", rounds_ms=[])]), ()) is None
