"""Where cells are trained: as jobs of a cluster, lost, put back into the queue, and waited for anew."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import slurm as fake

from ctxbench.errors import UserError
from ctxbench.study import cells
from ctxbench.study.cells import LOST, Needs, Outcome, read_outcomes, run_cells
from ctxbench.study.executors import executor_of
from ctxbench.study.executors import slurm as jobs

ROOT = Path(__file__).resolve().parents[2]
SERVED = "study.test_executors:Trainer"


@dataclass(frozen=True)
class Cell:
    """A cell that waits for a file ``go`` in a folder, and counts how often it was begun."""

    key: str
    folder: str
    threads: int | None = None
    needs = Needs()

    @property
    def label(self) -> str:
        return f"cell {self.key}"


class Trainer:
    def __init__(self, cell: Cell, progress: Callable[[], None] = lambda: None) -> None:
        self.cell = cell

    def train(self) -> dict[str, Any]:
        if self.cell.key == "refused":
            raise UserError("it cannot be built")
        if self.cell.key == "broken":
            raise RuntimeError("out of luck")
        home = Path(self.cell.folder)
        begun = len(list(home.glob(f"{self.cell.key}-*")))
        (home / f"{self.cell.key}-{begun}").write_text(str(os.getpid()))
        while not (home / "go").exists():
            time.sleep(0.02)
        return {"begun": begun + 1}


@pytest.fixture
def grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a grid whose costs are taken as measured."""
    monkeypatch.setattr(cells, "check_unchanged", lambda plan, folder: None)
    monkeypatch.setattr(cells.Plan, "read", lambda folder: None)
    folder = tmp_path / "grid"
    folder.mkdir()
    return folder


def test_an_executor_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="no executor 'lsf'; one of here, slurm"):
        executor_of("lsf")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="a partition is SLURM's: add --executor slurm"):
        executor_of("here", "gpu")
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(UserError, match=r"^jobs are submitted by submitit: pip install 'ctxbench\[slurm\]'$"):
        executor_of("slurm")


def test_a_machine_without_slurm_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="this machine submits no SLURM jobs"):
        executor_of("slurm", "gpu")


class Gone:
    """A job that has ended."""

    job_id, state, paths = "7_0", "NODE_FAIL", type("Paths", (), {"stderr": "7_0.err"})

    def done(self) -> bool:
        return True


class AtOnce:
    """In place of a cluster: a job is done when it is submitted."""

    def __init__(self, folder: Path) -> None:
        assert folder.is_dir()

    def update_parameters(self, **_: Any) -> None: ...

    def submit_array(self, tasks: list[jobs.Job]) -> list[Gone]:
        for task in tasks:
            task()
        return [Gone() for _ in tasks]


def test_jobs_leave_what_they_found_in_the_folder(grid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setattr(jobs, "submitter", lambda: AtOnce)
    monkeypatch.setattr(jobs, "POLL_S", 0.0)
    (grid / "go").touch()
    several = [Cell(key, str(grid)) for key in ("a", "refused")]
    done = run_cells(several, SERVED, grid, jobs.Slurm())
    wanted = {
        "a": Outcome("a", found={"begun": 1}),
        "refused": Outcome("refused", "error", "it cannot be built"),
    }
    assert done == read_outcomes(grid) == wanted
    (grid / "cells.jsonl").unlink()  # of a process that was killed before it had read them
    assert read_outcomes(grid) == wanted
    assert run_cells(several, SERVED, grid, executor_of()) == wanted
    (grid / "jobs" / "a.json").write_text("{")
    with pytest.raises(UserError, match=r"a\.json is damaged: "):
        read_outcomes(grid)


def test_a_lost_job_costs_its_cell_until_the_grid_is_gone_on_with(
    grid: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "submitter", lambda: None)
    monkeypatch.setattr(jobs, "POLL_S", 0.0)
    monkeypatch.setattr(jobs, "GRACE_S", 0.0)
    monkeypatch.setattr(jobs.Slurm, "_submitted", lambda self, place, cells, served: {"a": Gone()})
    lost = run_cells([Cell("a", str(grid))], SERVED, grid, jobs.Slurm())["a"]
    assert lost == Outcome("a", LOST, "job 7_0 ended without a result (NODE_FAIL); see 7_0.err")
    assert cells.why_empty(lost) == f"lost: {lost.reason}"
    assert read_outcomes(grid) == {}


def test_what_a_job_is_ended_by_is_no_outcome(tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    job = jobs.Job(Cell("broken", str(tmp_path)), SERVED, tmp_path / "broken.json")
    job.checkpoint()
    with pytest.raises(SystemExit):
        job()
    assert not (tmp_path / "broken.json").exists()


RUN = """
import sys
from pathlib import Path
from ctxbench.study import cells
from ctxbench.study.executors import executor_of, slurm
from study.test_executors import SERVED, Cell
cells.check_unchanged, cells.Plan.read = lambda *_: None, lambda *_: None
slurm.POLL_S, slurm.GRACE_S = 0.1, 1.0
folder, *keys = sys.argv[1:]
found = cells.run_cells(
    [Cell(key, folder) for key in keys], SERVED, Path(folder), executor_of("slurm", "gpu", jobs=3)
)
for key, outcome in found.items():
    print(key, outcome.status, outcome.reason or outcome.found)
"""


def started(grid: Path, environment: dict[str, str], *keys: str) -> subprocess.Popen[str]:
    paths = os.pathsep.join(filter(None, (str(ROOT / "tests"), *sys.path)))
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(grid), *keys],
        env={**os.environ, **environment, "PYTHONPATH": paths}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for(*paths: Path) -> None:
    while not all(path.exists() and path.read_text() for path in paths):
        time.sleep(0.05)


@pytest.mark.slow
def test_jobs_outlive_who_submitted_them_and_are_waited_for_anew(grid: Path, tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    home = tmp_path / "slurm"
    environment = fake.install(home)
    first = started(grid, environment, "a", "b", "c", "d")
    wait_for(grid / "a-0", grid / "b-0", grid / "c-0")
    script = (home / "submission-1").read_text()
    for line in ("partition=gpu", "array=0-3%3", "time=60", "cpus-per-task=1"):
        assert f"#SBATCH --{line}\n" in script
    first.send_signal(signal.SIGKILL)
    first.communicate()

    os.kill(int((grid / "b-0").read_text()), signal.SIGUSR2)  # SLURM wants its node: d, then b again
    fake.lose(home, "1_2")
    wait_for(grid / "b-1", grid / "d-0")
    second = started(grid, environment, "a", "b", "c", "d")
    wait_for(grid / "c-1")  # the lost one alone is submitted again
    assert "--array" not in (home / "submission-2").read_text()
    (grid / "go").touch()
    output, _ = second.communicate()
    assert sorted(output.splitlines()) == [
        "a ok {'begun': 1}",
        "b ok {'begun': 2}",
        "c ok {'begun': 2}",
        "d ok {'begun': 1}",
    ]
    lines = [json.loads(line)["key"] for line in (grid / "cells.jsonl").read_text().splitlines()]
    assert sorted(lines) == ["a", "b", "c", "d"]
    assert len(list(home.glob("submission-*"))) == 2


@pytest.mark.slow
def test_a_node_that_is_lost_costs_its_cell(grid: Path, tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    home = tmp_path / "slurm"
    process = started(grid, fake.install(home), "a", "b")
    wait_for(grid / "a-0", grid / "b-0")
    fake.lose(home, "1_1")
    (grid / "go").touch()
    output, _ = process.communicate()
    log = grid / "jobs" / "1_1_0_log.err"
    assert sorted(output.splitlines()) == [
        "a ok {'begun': 1}",
        f"b lost job 1_1 ended without a result (NODE_FAIL); see {log}",
    ]
    assert log.exists()
    assert list(read_outcomes(grid)) == ["a"]


def test_what_slurm_refuses_is_one_line(
    grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("submitit")
    for name, value in fake.install(tmp_path / "slurm").items():
        monkeypatch.setenv(name, value)
    why = "^SLURM takes no job: sbatch: error: invalid partition specified: closed$"
    with pytest.raises(UserError, match=why):
        run_cells([Cell("a", str(grid))], SERVED, grid, executor_of("slurm", "closed"))
    assert capsys.readouterr() == ("", "")
