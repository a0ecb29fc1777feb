import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch

from ctxbench.errors import UserError
from ctxbench.measure import session
from ctxbench.measure.folder import JOURNAL, RECORDS, Settings, read_run
from ctxbench.measure.process import WorkerProcess
from ctxbench.measure.progress import RunProgress
from ctxbench.report.columns import reason
from ctxbench.subject.case import Case

QUICK = Settings(budget_s=0.2, timeout_s=5.0, counters=())
MakeCase = Callable[..., Case]


@pytest.fixture(autouse=True)
def _no_worker_survives() -> Iterator[None]:
    yield
    me = psutil.Process()
    servers = [child for child in me.children() if "forkserver" in " ".join(child.cmdline())]
    assert not [worker for server in servers for worker in server.children()]


def test_a_failure_costs_its_own_row_and_no_other(case: MakeCase, tmp_path: Path) -> None:
    expected = {
        "Good": ("ok", ""),
        "Killed": ("crashed", "the process was killed by SIGKILL during prepare"),
        "Leaves": ("crashed", "the process left with exit code 3 during prepare"),
        "Sleeps": ("timeout", "prepare took longer than 5 s"),
        "Greedy": ("oom", "RuntimeError: "),
        "Hungry": ("oom", "predicted to need 67108864 MiB"),
        "Raises": ("error", "KeyError: 'no such map'"),
        "Quits": ("error", "SystemExit: 5"),
        "Steady": ("ok", ""),
    }
    cases = [case(name) for name in expected]
    found = session.measure_cases([*cases, cases[0]], settings=QUICK, out=tmp_path / "run")

    assert [record.case for record in found.records] == cases
    for record, (status, why) in zip(found.records, expected.values(), strict=True):
        assert record.status == status, record
        assert why in record.reason
        assert "\n" not in record.reason
        assert bool(record.rounds_ms) == (status == "ok")
    good = found.records[0]
    assert (good.params, good.macs) == (72, 8 * 8 * 6 * 5)
    assert len(good.rounds_ms) >= 5
    assert good.alloc_bytes is not None
    assert good.reserved_bytes is None
    assert "reserve" in good.reasons["reserved_bytes"]
    assert good.environment["torch"] == torch.__version__
    assert found.plan.ceilings["cpu"]["float32"]["gemm_gflops"] > 0
    assert len((tmp_path / "run" / RECORDS).read_text().splitlines()) == len(cases)
    assert not (tmp_path / "run" / JOURNAL).exists()
    assert read_run(tmp_path / "run") == found


def test_rounds_are_interleaved_in_random_order(case: MakeCase) -> None:
    timed: list[RunProgress] = []
    cases = [case("Steady", batch=n) for n in (1, 2, 3)]
    found = session.measure_cases(cases, settings=QUICK, progress=timed.append)
    turns = [p.case.batch for p in timed if p.activity == "time"]
    rounds = [tuple(turns[i : i + 3]) for i in range(0, 15, 3)]
    assert all(sorted(order) == [1, 2, 3] for order in rounds)
    assert len(set(rounds)) > 1
    assert timed[-1].fraction == 1
    assert timed[-1].recorded == 3
    fractions = [p.fraction for p in timed]
    assert fractions == sorted(fractions)
    assert all(record.status == "ok" for record in found.records)


def test_a_narrow_interval_ends_sampling_after_eight_rounds_at_the_earliest(case: MakeCase) -> None:
    settings = replace(QUICK, precision=100.0, budget_s=0.5)
    (record,) = session.measure_cases([case("Steady")], settings=settings).records
    assert len(record.rounds_ms) == session.ROUNDS_BEFORE_STOPPING


def test_interrupting_keeps_what_was_measured_and_resuming_completes_it(
    case: MakeCase, tmp_path: Path
) -> None:
    def interrupt(progress: RunProgress) -> None:
        if progress.recorded:
            raise KeyboardInterrupt

    cases = [case("Good"), case("Good", mode="train"), case("Good", dtype="float64")]
    with pytest.raises(KeyboardInterrupt):
        session.measure_cases(cases, settings=QUICK, out=tmp_path, progress=interrupt)
    statuses = [record.status for record in read_run(tmp_path).records]
    assert sorted(statuses) == ["interrupted", "interrupted", "ok"]
    assert [record.status for record in session.resume_run(tmp_path).records] == ["ok"] * 3
    assert [record.status for record in session.resume_run(tmp_path).records] == [
        "ok"
    ] * 3  # nothing left to do


def test_a_run_that_no_runtime_can_run_is_refused(case: MakeCase, tmp_path: Path) -> None:
    refused = case("Steady", runtime="onnxruntime", mode="train")
    with pytest.raises(UserError, match="onnxruntime"):
        session.measure_cases([refused], settings=QUICK, out=tmp_path / "refused")
    assert not (tmp_path / "refused").exists()


@pytest.mark.slow
def test_what_a_runtime_cannot_run_costs_its_row(case: MakeCase, tmp_path: Path) -> None:
    refused = case("Steady", runtime="onnxruntime", mode="train")
    found = session.measure_cases([case("Steady"), refused], settings=QUICK, out=tmp_path / "run").records
    assert [record.status for record in found] == ["ok", "error"]
    assert found[1].reason.startswith("onnxruntime ")
    assert found[1].params == 0, "it is counted all the same"


KILLED_RUN = """
import json, sys
from pathlib import Path
from ctxbench.measure import session
from ctxbench.subject.case import Case
from ctxbench.measure.folder import Settings
cases = [Case.from_json(case) for case in json.loads(sys.argv[2])]
settings = Settings(budget_s=0.5, precision=0.0, counters=())
# no main guard: workers must not run this
session.measure_cases(cases, settings=settings, out=Path(sys.argv[1]))
"""


def test_a_run_killed_half_way_resumes_with_its_rounds(case: MakeCase, tmp_path: Path) -> None:
    cases = [case("Steady", batch=n) for n in (1, 2)]
    out, script = tmp_path / "run", tmp_path / "script.py"
    script.write_text(KILLED_RUN)
    arguments = [sys.executable, str(script), str(out), json.dumps([c.to_json() for c in cases])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(arguments, env=environment) as process:
        journal = out / JOURNAL
        while process.poll() is None and not (
            journal.exists() and journal.read_text().count("round_ms") >= 3
        ):
            time.sleep(0.02)
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
    assert len(family) >= 2
    assert psutil.wait_procs(family)[1] == []  # orphans leave by themselves

    before = [record.rounds_ms for record in read_run(out).records]
    assert all(before)
    for name in (JOURNAL, RECORDS):
        with (out / name).open("a") as file:
            file.write('{"case_id": "torn')
    found = session.resume_run(out)
    assert [record.case for record in found.records] == cases
    for record, rounds in zip(found.records, before, strict=True):
        assert record.status == "ok"
        assert len(record.rounds_ms) > len(rounds)
        assert record.rounds_ms[: len(rounds)] == rounds
    assert [json.loads(line)["status"] for line in (out / RECORDS).read_text().splitlines()] == ["ok", "ok"]


def test_a_run_is_not_resumed_in_another_environment(case: MakeCase, tmp_path: Path) -> None:
    def interrupt(progress: RunProgress) -> None:
        if progress.activity != "check":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session.measure_cases([case("Good")], settings=QUICK, out=tmp_path, progress=interrupt)
    plan = tmp_path / "run.json"
    plan.write_text(plan.read_text().replace(f'"torch": "{torch.__version__}"', '"torch": "1.0"'))
    with pytest.raises(UserError, match=r"another environment \(torch changed\)"):
        session.resume_run(tmp_path)


def test_a_run_is_not_resumed_with_an_edited_module(case: MakeCase, tmp_path: Path) -> None:
    def interrupt(progress: RunProgress) -> None:
        if progress.activity != "check":
            raise KeyboardInterrupt

    good = case("Good")
    with pytest.raises(KeyboardInterrupt):
        session.measure_cases([good], settings=QUICK, out=tmp_path, progress=interrupt)
    source = Path(good.module.rpartition(":")[0])
    before = source.read_text()
    try:
        source.write_text(before + "\n\nMORE = 1\n")
        with pytest.raises(
            UserError, match=r"blocks.py:Good has changed since .* was begun: start a new run"
        ):
            session.resume_run(tmp_path)
    finally:
        source.write_text(before)


def test_bad_input_is_refused_before_anything_is_written(case: MakeCase, tmp_path: Path) -> None:
    out = tmp_path / "run"
    bad = {
        "nothing to measure": [],
        "unexpected keyword argument 'loudness'": [case("Good"), case("Good", options={"loudness": 3})],
        "is not there": [case("Missing")],
        "height must be a positive integer": [case("Good", height=0)],
        r"returned \(1, 8, 6, 5\), then \(1, 16, 6, 5\)": [case("Fickle")],
        r"blocks.py:Needs: AssertionError: need div \(input 1x8x6x5\)": [case("Good"), case("Needs")],
    }
    if not torch.cuda.is_available():
        bad["no device 'cuda'"] = [case("Good", device="cuda")]
    for message, cases in bad.items():
        with pytest.raises(UserError, match=message):
            session.measure_cases(cases, settings=QUICK, out=out)
    with pytest.raises(UserError, match="unknown counter 'abacus'"):
        session.measure_cases([case("Good")], settings=Settings(counters=("abacus",)), out=out)
    assert not out.exists()


def test_the_parent_goes_without_torch() -> None:
    code = "import sys, ctxbench.measure.session; sys.exit('torch' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def test_what_is_odd_about_a_module_stands_in_its_row(case: MakeCase) -> None:
    """One that returns NaN, one that changes its state, a batch norm with one value, and one that is fine."""
    cases = [case("NotANumber"), case("Moves"), case("Pooled", mode="train"), case("Good")]
    odd, moves, pooled, good = session.measure_cases(cases, settings=QUICK).records
    one_value = "the normalisation 'norm' has one value a channel to take a variance of in training"
    assert (odd.status, odd.warnings) == ("ok", ["its output holds NaN"])
    assert (moves.status, moves.warnings) == ("ok", ["a pass changed its own state: the buffer seen"])
    assert (pooled.status, pooled.reason) == ("error", f"{one_value}; --batch 2 measures it")
    assert (good.status, good.warnings) == ("ok", [])
    assert reason(odd).startswith("its output holds NaN")
    assert "a pass changed its own state" in reason(moves)


def test_a_native_crash_costs_its_own_row_wherever_it_happens(case: MakeCase) -> None:
    """In the constructor, called before anything is measured, and where native code gets no memory."""
    crashed, pointer, good = session.measure_cases(
        [case("Crashes"), case("Pointer"), case("Good")], settings=QUICK
    ).records
    assert (crashed.status, crashed.reason) == (
        "crashed",
        "the process was killed by SIGSEGV during describe",
    )
    assert (pointer.status, pointer.reason) == (
        "crashed",
        "the process was killed by SIGSEGV during describe",
    )
    assert good.status == "ok"


@pytest.mark.slow
def test_what_uses_its_time_up_is_ended_and_what_makes_progress_is_not(case: MakeCase) -> None:
    """Two seconds a call, several calls in one request: more than the limit together, less each."""
    limited = replace(QUICK, timeout_s=5.0, budget_s=0.1)
    spins, slow = session.measure_cases([case("Spins"), case("Slow")], settings=limited).records
    assert spins.status == "timeout"
    assert spins.reason.startswith("prepare took longer than 5 s")
    assert slow.status == "ok", slow.reason
    assert slow.latency.median_ms is not None
    assert slow.latency.median_ms >= 2000


def test_threads_are_a_condition_that_is_set_and_read_back(case: MakeCase, tmp_path: Path) -> None:
    asked = [None, 1, 3]
    out = tmp_path / "run"
    found = session.measure_cases([case("Good", threads=n) for n in asked], settings=QUICK, out=out)
    by_itself = found.plan.environments["cpu"]["threads"]
    for record, n in zip(found.records, asked, strict=True):
        assert record.status == "ok", record
        assert set(record.threads.values()) == ({n} if n else set(record.threads.values()))
        assert record.threads["torch"] == (n or by_itself)
        assert record.warnings == []
    assert set(found.plan.ceilings["cpu"]) == {"float32", "float32, 1 threads", "float32, 3 threads"}
    assert read_run(out) == found


class Deaf:
    """Is asked to end where it cannot any more, as a training after its last iteration."""

    def __init__(self, subject: Case, progress: Callable[[], None]) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def begin(self) -> None:
        """Answer once it is made."""

    def work(self) -> None:
        """Answer, and wait for what is next."""


def test_a_process_that_answers_instead_of_ending_is_not_waited_for(case: MakeCase) -> None:
    process = WorkerProcess(case("Good"), "measure.test_session:Deaf")
    process.send(60.0, "begin")
    process.receive()
    process.send(60.0, "work")
    process.stop()
    waiting = threading.Thread(target=process.join, daemon=True)
    waiting.start()
    waiting.join(60)
    is_over = not waiting.is_alive()
    process.close()
    assert is_over
