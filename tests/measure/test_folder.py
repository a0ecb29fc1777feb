import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxbench.errors import UserError
from ctxbench.measure.folder import JOURNAL, PLAN, RECORDS, Plan, RunFolder, Settings, check_free, read_run
from ctxbench.measure.records import Record, read_records, to_line
from ctxbench.subject.case import Case

CASES = tuple(Case("latentgnn", n, 4, 4, options={"latent_dims": (5, 3)}) for n in (8, 16, 24))
PLAN_OF_THREE = Plan(
    CASES,
    Settings(budget_s=1.0, counters=("fvcore",)),
    ("ctxbench", "profile"),
    {"cpu": {"torch": "2"}},
    created_at="2026-11-30T02:45:00+00:00",  # tests are named by it: not the time, each process would differ
)


def test_a_plan_reads_back_as_it_was(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "a" / "b", PLAN_OF_THREE):
        pass
    assert Plan.read(tmp_path / "a" / "b") == PLAN_OF_THREE


def test_records_and_unfinished_cases_read_back(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path, PLAN_OF_THREE) as folder:
        folder.note(CASES[0], {"macs": 7, "reasons": {"alloc_bytes": "later", "params": "unknown"}})
        folder.note(CASES[0], {"alloc_bytes": 5, "reasons": {"reserved_bytes": "CPU"}})
        folder.add_round(CASES[0], [1.0, 2.0])
        folder.add_round(CASES[1], [3.0])
        folder.finish(CASES[0])
        inside = folder.run()
    outside = read_run(tmp_path)
    assert outside.records[0] == inside.records[0]
    first, second, third = outside.records
    assert (first.status, first.macs, first.alloc_bytes, first.rounds_ms) == ("ok", 7, 5, [[1.0, 2.0]])
    assert first.reasons == {"params": "unknown", "reserved_bytes": "CPU"}
    assert first.environment == {"torch": "2"}
    assert (second.status, second.rounds_ms) == ("interrupted", [[3.0]])
    assert (third.status, third.rounds_ms) == ("interrupted", [])
    assert [record.case for record in outside.records] == list(CASES)


@pytest.mark.parametrize("status", ["ok", "oom", "interrupted"])
def test_what_is_predicted_for_eager_is_no_other_runtimes_however_the_case_ends(
    status: str, tmp_path: Path
) -> None:
    eager, compiled = (replace(CASES[0], runtime=runtime) for runtime in ("eager", "compile"))
    predicted = {"peak_pred_bytes": 8, "reserved_sim_bytes": 9, "peak_pred_note": "by rules", "macs": 7}
    with RunFolder.create(tmp_path, replace(PLAN_OF_THREE, cases=(eager, compiled))) as folder:
        for case in (eager, compiled):
            folder.note(case, predicted)
            if status != "interrupted":
                folder.finish(case, status)
    first, second = read_run(tmp_path).records
    assert {name: getattr(first, name) for name in predicted} == predicted
    assert (second.macs, second.peak_pred_bytes, second.reserved_sim_bytes) == (7, None, None)
    assert second.peak_pred_note == ""
    assert set(second.reasons.values()) == {"predicted for eager execution alone"}


def test_a_finished_run_keeps_no_journal(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path, PLAN_OF_THREE) as folder:
        for case in CASES:
            folder.finish(case, "error", "because")
    assert sorted(path.name for path in tmp_path.iterdir()) == [RECORDS, PLAN]


@pytest.mark.parametrize("keep", [0.3, 0.999])
def test_a_truncated_last_line_is_dropped_and_its_case_is_open_again(tmp_path: Path, keep: float) -> None:
    with RunFolder.create(tmp_path, PLAN_OF_THREE) as folder:
        folder.finish(CASES[0])
        valid_bytes = (tmp_path / RECORDS).stat().st_size
        folder.finish(CASES[1])
    path = tmp_path / RECORDS
    whole = path.read_bytes()
    path.write_bytes(whole[: valid_bytes + int((len(whole) - valid_bytes - 1) * keep)])
    assert [r.status for r in read_run(tmp_path).records] == ["ok", "interrupted", "interrupted"]
    with RunFolder.resume(tmp_path) as folder:
        assert list(folder.done) == [CASES[0].id]
        assert path.stat().st_size == valid_bytes
        folder.finish(CASES[1])
    assert len(read_records(path)) == 2


def test_a_last_line_that_lacks_only_its_newline_counts(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path, PLAN_OF_THREE) as folder:
        folder.finish(CASES[0])
    path = tmp_path / RECORDS
    path.write_bytes(path.read_bytes().rstrip())
    with RunFolder.resume(tmp_path) as folder:
        folder.finish(CASES[1])
    assert [record.case for record in read_records(path)] == list(CASES[:2])


def without(record: Record, key: str) -> bytes:
    return to_line({k: v for k, v in record.to_json().items() if k != key})


def changed(**fields: object) -> bytes:
    return to_line({**Record(CASES[1]).to_json(), **fields})


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"{nonsense\n", "Expecting"),
        (b"[1]\n", "not a JSON object"),
        (to_line({"schema_version": 99}), "schema_version is 99, this ctxbench reads 1"),
        (without(Record(CASES[1]), "case"), "missing required field `case`"),
        (changed(colour="red"), "unknown field `colour` - at `$`"),
        (changed(rounds_ms=None), "Expected `array`, got `null` - at `$.rounds_ms`"),
        (changed(rounds_ms="abc"), "got `str` - at `$.rounds_ms`"),
        (changed(rounds_ms=[[1.0, "2"]]), "got `str` - at `$.rounds_ms[0][1]`"),
        (changed(rounds_ms=[[float("nan")]]), "`float` > 0.0 - at `$.rounds_ms[0][0]`"),
        (changed(rounds_ms=[[float("inf")]]), "Expected `float` <= 1.79"),
        (changed(rounds_ms=[[1.0, 0.0]]), "`float` > 0.0 - at `$.rounds_ms[0][1]`"),
        (changed(rounds_ms=[[1.0], [-2]]), "`float` > 0.0 - at `$.rounds_ms[1][0]`"),
        (changed(rounds_ms=[[10**400]]), "rounds_ms"),
        (changed(macs="x"), "Expected `int | null`, got `str` - at `$.macs`"),
        (changed(macs=True), "Expected `int | null`, got `bool` - at `$.macs`"),
        (changed(counters=[]), "Expected `object`, got `array` - at `$.counters`"),
        (changed(reasons={"macs": 3}), "reasons"),
        (
            changed(case={**CASES[1].to_json(), "mode": "dream"}),
            "Invalid enum value 'dream' - at `$.case.mode`",
        ),
        (changed(case={**CASES[1].to_json(), "height": "4"}), "got `str` - at `$.case.height`"),
        (changed(case={**CASES[1].to_json(), "hight": 4}), "unknown field `hight` - at `$.case`"),
    ],
)
def test_any_other_damaged_line_is_named(tmp_path: Path, line: bytes, says: str) -> None:
    with RunFolder.create(tmp_path, PLAN_OF_THREE) as folder:
        folder.finish(CASES[0])
    path = tmp_path / RECORDS
    path.write_bytes(path.read_bytes() + line + path.read_bytes())
    for read in (read_run, RunFolder.resume):
        with pytest.raises(UserError, match=r"records.jsonl, line 2 is damaged") as caught:
            read(tmp_path)
        assert says in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"case_id": "0", "round_ms": [1]}, "about no case of this run"),
        ({"round_ms": [1]}, "missing required field `case_id`"),
        ({"case_id": [], "round_ms": [1]}, "case_id"),
        ({"case_id": CASES[0].id, "round_ms": None}, "Expected `array`, got `null` - at `$.round_ms`"),
        ({"case_id": CASES[0].id, "round_ms": [-1.0]}, "`float` > 0.0 - at `$.round_ms[0]`"),
        ({"case_id": CASES[0].id, "fields": []}, "got `array` - at `$.fields`"),
        ({"case_id": CASES[0].id, "fields": {"params": "many"}}, "got `str` - at `$.params`"),
        ({"case_id": CASES[0].id, "fields": {"colour": 1}}, "unknown field `colour`"),
    ],
)
def test_a_journal_of_anything_else_is_damaged(tmp_path: Path, entry: object, says: str) -> None:
    with RunFolder.create(tmp_path, PLAN_OF_THREE):
        pass
    (tmp_path / JOURNAL).write_text(json.dumps(entry) + "\n")
    with pytest.raises(UserError, match=r"journal.jsonl, line 1 is damaged") as caught:
        read_run(tmp_path)
    assert says in str(caught.value)


def planned(**values: object) -> str:
    return json.dumps({**PLAN_OF_THREE.to_json(), **values})


@pytest.mark.parametrize(
    "damage",
    [
        "{",
        "[]",
        '{"schema_version": 99}',
        '{"schema_version": 1}',
        planned(ceilings=None),
        planned(ceilings={"cpu": {"float32": {"gemm_gflops": "fast"}}}),
        planned(environments=[]),
        planned(created_at=3),
        planned(command=[1]),
        planned(settings={"budget_s": "long", "counters": []}),
        planned(settings={"budget_s": float("inf"), "counters": []}),
        planned(cases=[{**CASES[0].to_json(), "batch": None}]),
        planned(cases=None),
        planned(cases=[{**CASES[0].to_json(), "colour": "red"}]),
        planned(settings={"budget_s": 0.0, "counters": []}),
        planned(colour="red"),
    ],
)
def test_a_damaged_plan_is_named(tmp_path: Path, damage: str) -> None:
    (tmp_path / PLAN).write_text(damage)
    with pytest.raises(UserError, match=r"run.json is damaged"):
        read_run(tmp_path)


def test_a_folder_is_written_by_one_run_and_one_process(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no run"):
        read_run(tmp_path)
    with RunFolder.create(tmp_path, PLAN_OF_THREE):
        with pytest.raises(UserError, match="already holds a run"):
            RunFolder.create(tmp_path, PLAN_OF_THREE)
        with pytest.raises(UserError, match="is being written by another process"):
            RunFolder.resume(tmp_path)
        read_run(tmp_path)
    RunFolder.resume(tmp_path).__exit__()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(UserError, match=r"cannot write .*file"):
            check_free(path)
    with pytest.raises(UserError, match="cannot write"):
        RunFolder(tmp_path / "missing", PLAN_OF_THREE)


def test_a_full_disk_is_one_error_and_keeps_what_was_written(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="only POSIX limits the size of files")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill() -> None:
        with RunFolder.create(tmp_path, PLAN_OF_THREE) as folder:
            folder.add_round(CASES[0], [1.0, 2.0])
            resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / JOURNAL).stat().st_size + 9, hard))
            folder.add_round(CASES[0], [3.0] * 10)

    try:
        with pytest.raises(UserError, match=r"cannot write .*journal.jsonl: File too large"):
            fill()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert read_run(tmp_path).records[0].rounds_ms == [[1.0, 2.0]]
    with RunFolder.resume(tmp_path) as folder:
        folder.add_round(CASES[0], [4.0])
    assert read_run(tmp_path).records[0].rounds_ms == [[1.0, 2.0], [4.0]]


def test_a_record_says_what_it_is_in_json() -> None:
    record = Record(replace(CASES[0], device="cuda:1"), macs=2**60, rounds_ms=[[0.1]])
    values = json.loads(to_line(record.to_json()))
    assert values["case_id"] == record.case.id
    assert Record.from_json(values) == record


REPORTS = sorted((Path(__file__).parents[2] / "reports").rglob("records.jsonl"))


@pytest.mark.parametrize("path", REPORTS, ids=lambda path: "-".join(path.parent.parts[-2:]))
def test_every_checked_in_run_reads_field_by_field_as_it_was_written(path: Path) -> None:
    """Runs of earlier versions among them, whose leaf rule stood in a field of its own."""
    run = read_run(path.parent)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    written = {line["case_id"]: line for line in lines}
    assert len(written) == len(run.plan.cases) == len(run.records) > 0
    assert {record.case.id for record in run.records} == set(written)
    for record in run.records:
        line, values = written[record.case.id], json.loads(json.dumps(record.to_json()))
        counted = line.pop("paper", None) or line["counters"].get("leaf_rule", {})
        assert record.leaf_rule == counted
        line["counters"] = {**line["counters"], **({"leaf_rule": counted} if counted else {})}
        if "compile" in line["case"]:  # as it was before a runtime was named
            line["case"]["runtime"] = "compile" if line["case"].pop("compile") else "eager"
        line["schema_version"] = values["schema_version"]
        assert {name: values[name] for name in line} == line


def test_a_run_interrupted_under_an_earlier_version_is_gone_on_with(tmp_path: Path) -> None:
    """Its plan has a setting under another name, and its journal the leaf rule in a field of its own."""
    plan = PLAN_OF_THREE.to_json()
    plan["settings"] = {**plan["settings"], "live": 3}
    del plan["settings"]["interleaved"]
    (tmp_path / PLAN).write_text(json.dumps({**plan, "schema_version": 1}))
    entry = {"case_id": CASES[0].id, "fields": {"macs": 7, "paper": {"gflops": 1.0}}}
    (tmp_path / JOURNAL).write_text(json.dumps(entry) + "\n")
    with RunFolder.resume(tmp_path) as folder:
        assert folder.plan.settings.interleaved == 3
        folder.finish(CASES[0])
    assert [record.leaf_rule for record in read_run(tmp_path).records] == [{"gflops": 1.0}, {}, {}]


options = st.dictionaries(
    st.text(min_size=1, max_size=4),
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3).map(tuple) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=6,
    ),
    max_size=3,
)


@given(options)
def test_options_come_back_from_a_record_with_their_tuples(chosen: dict[str, object]) -> None:
    case = replace(CASES[0], options=chosen)
    assert Case.from_json(json.loads(json.dumps(case.to_json()))) == case
    record = Record.from_json(json.loads(to_line(Record(case).to_json())))
    assert record.case == case
    assert record.case.id == case.id


@pytest.mark.parametrize(("compile", "runtime"), [(True, "compile"), (False, "eager")])
def test_a_case_that_said_whether_it_was_compiled_names_its_runtime_now(compile: bool, runtime: str) -> None:
    values = CASES[0].to_json()
    del values["runtime"]
    line = {**Record(CASES[0]).to_json(), "schema_version": 2, "case": {**values, "compile": compile}}
    case = Record.from_json(line).case
    assert case == replace(CASES[0], runtime=runtime)  # type: ignore[arg-type]
    text = json.dumps({k: v for k, v in line["case"].items() if k != "rule_options"}, sort_keys=True)
    assert case.id == hashlib.sha256(text.encode()).hexdigest()[:12], "of what schema 2 wrote"


def test_threads_and_runtime_make_another_case() -> None:
    changes: list[dict[str, Any]] = [{}, {"threads": 1}, {"threads": 2}, {"runtime": "compile"}]
    each = [replace(CASES[0], **change) for change in changes]
    assert len({case.id for case in each}) == len(changes)
    assert [Case.from_json(json.loads(json.dumps(case.to_json()))) for case in each] == each
