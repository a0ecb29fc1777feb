"""The command line, run as a user runs it: what it prints, the files it writes, and its exit codes."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ctxbench.cli import main
from ctxbench.cli.progress import EVERY_S
from ctxbench.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
BLOCK = '''
import time

import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    """Somebody's own block: an einsum, and a fused attention."""

    def __init__(self, channels, heads=2):
        super().__init__()
        self.project = nn.Parameter(torch.randn(channels, channels) / channels)
        self.heads = heads

    def forward(self, x):
        n, c, h, w = x.shape
        tokens = torch.einsum("nchw,cd->nhwd", x, self.project).reshape(n, h * w, self.heads, c // self.heads)
        tokens = tokens.transpose(1, 2).contiguous()
        y = F.scaled_dot_product_attention(tokens, tokens, tokens)
        return x + y.transpose(2, 3).reshape(n, c, h, w)


class Uneven(nn.Module):
    """Takes so unevenly long that sampling goes on for as long as it may."""

    def __init__(self, channels):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        if type(x) is torch.Tensor:
            self.calls += 1
            time.sleep(0.03 * (self.calls % 2))
        return x + 1


class Pools(nn.Module):
    def __init__(self, channels):
        super().__init__()

    def forward(self, x):
        return x.mean((2, 3))


class Dies(nn.Module):
    def __init__(self, channels):
        super().__init__()

    def forward(self, x):
        if x.device.type == "cpu" and type(x) is torch.Tensor:
            import os
            os.kill(os.getpid(), 11)
        return x


class Exits(Dies):
    def forward(self, x):
        raise SystemExit(3)
'''
Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli")
    (path / "block.py").write_text(BLOCK)
    return path


@pytest.fixture(scope="module")
def cli(folder: Path) -> Cli:
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'modules'}", "COLUMNS": "160"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ctxbench", *arguments]
        return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)

    return run


SMALL = ("--channels", "16", "--size", "9x7", "--budget", "0.05")


@pytest.fixture(scope="module")
def timed(cli: Cli) -> tuple[subprocess.CompletedProcess[str], float]:
    """A run, and the seconds it took."""
    start = time.monotonic()
    ran = cli("profile", "reconet,nonlocal", "emau", "block.py:Block", *SMALL, "--out", "run")
    return ran, time.monotonic() - start


@pytest.fixture(scope="module")
def profiled(timed: tuple[subprocess.CompletedProcess[str], float]) -> subprocess.CompletedProcess[str]:
    return timed[0]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_profile_prints_a_row_for_each_module_and_writes_the_folder(
    timed: tuple[subprocess.CompletedProcess[str], float], folder: Path
) -> None:
    profiled, took_s = timed
    assert profiled.returncode == 0, profiled.stderr
    assert all(title in profiled.stdout for title in ("TGM+TRM", "Non-Local", "EMAUnit", "Block"))
    said = profiled.stderr.splitlines()
    lines = [line for line in said if not line.startswith("ctxbench: 4 cases, at most 0.2 s of samples")]
    assert len(said) - len(lines) == 1  # what is ahead, once
    assert len(lines) <= took_s // EVERY_S  # none, unless the machine is so busy that it takes half a minute
    assert all(line.startswith("ctxbench: measuring ") for line in lines), profiled.stderr
    written = {path.name for path in (folder / "run").iterdir()}
    assert {
        "run.json",
        "records.jsonl",
        "summary.csv",
        "table.md",
        "table.tex",
        "bars.png",
        "bars.svg",
    } <= written
    assert "journal.jsonl" not in written


def test_the_summary_has_every_column_filled_or_a_reason(
    profiled: subprocess.CompletedProcess[str], folder: Path
) -> None:
    for row in rows(folder / "run" / "summary.csv"):
        assert row["status"] in ("ok", "noisy")
        for column in ("params", "gmacs", "gflops", "bwd_gmacs", "act_mib", "peak_pred_mib", "lat_median_ms"):
            assert float(row[column]) >= 0, (row["module"], column)
        assert float(row["mem_reserved_sim_mib"]) % 2 == 0  # segments are of 2 MiB and multiples of it
        assert float(row["mem_reserved_sim_mib"]) > float(row["peak_pred_mib"])
        assert row["mem_reserved_mib"] == ""
        assert "mem_reserved_mib" in row["reason"]
        assert float(row["lat_ci_lo_ms"]) <= float(row["lat_median_ms"]) <= float(row["lat_ci_hi_ms"])


def test_a_strangers_block_is_counted_in_closed_form(
    profiled: subprocess.CompletedProcess[str], folder: Path
) -> None:
    (row,) = [row for row in rows(folder / "run" / "summary.csv") if row["module"].endswith("Block")]
    n, c = 63, 16
    assert round(float(row["gmacs"]) * 1e9) == n * c * c + 2 * n * n * c
    assert row["implementation"] == "single"
    assert "Block" in (folder / "run" / "table.tex").read_text()


def test_records_hold_all_samples_and_the_environment(
    profiled: subprocess.CompletedProcess[str], folder: Path
) -> None:
    lines = (folder / "run" / "records.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert len({record["case_id"] for record in records}) == len(records) == 4
    for record in records:
        assert record["schema_version"] == 3
        assert len(record["rounds_ms"]) >= 5
        assert record["environment"]["torch"]


@pytest.fixture(scope="module")
def piped(cli: Cli) -> subprocess.CompletedProcess[str]:
    return cli("profile", "a2net", *SMALL, "--counter", "none", "--out", "piped", "--csv", "-")


def test_exports_to_stdout_are_clean(piped: subprocess.CompletedProcess[str]) -> None:
    assert piped.returncode == 0, piped.stderr
    (row,) = csv.DictReader(piped.stdout.splitlines())
    assert row["module"] == "a2net"


def test_report_rebuilds_the_same_files_without_measuring(
    cli: Cli, profiled: subprocess.CompletedProcess[str], folder: Path
) -> None:
    summary = folder / "run" / "summary.csv"
    before = summary.read_text()
    summary.unlink()
    ran = cli("report", "run")
    assert ran.returncode == 0, ran.stderr
    assert summary.read_text() == before
    assert "summary.csv" in ran.stdout
    assert ran.stdout.partition("\nWritten to ")[0] == profiled.stdout.partition("\nWritten to ")[0]
    assert "report.html" in ran.stdout
    assert (folder / "run" / "report.html").read_text().startswith("<!doctype html>")


def test_explain_shows_where_the_cost_is_and_what_was_missed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "160")
    arguments = ("block.py:Block", "--channels", "16", "--size", "9x7", "-o", "heads=4")
    assert inside(monkeypatch, "explain", *arguments) == 0
    printed = capsys.readouterr().out
    assert "aten._scaled_dot_product_flash_attention_for_cpu.default" in printed
    assert "fvcore gave nothing to these products: aten::scaled_dot_product_attention" in printed


def test_compare_of_a_run_with_itself_finds_nothing_slower(
    cli: Cli, profiled: subprocess.CompletedProcess[str]
) -> None:
    ran = cli("compare", "run", "run", "--fail-on", "median:5%")
    assert ran.returncode == 0, ran.stdout
    assert "SLOWER" not in ran.stdout


def test_compare_of_runs_without_a_common_case_says_so_and_exits_3(
    cli: Cli, profiled: subprocess.CompletedProcess[str], piped: subprocess.CompletedProcess[str]
) -> None:
    assert cli("compare", "run", "piped").returncode == 3


def test_a_crash_costs_its_own_row_only(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    names = ("block.py:Dies", "block.py:Block")
    assert inside(monkeypatch, "profile", *names, *SMALL, "--counter", "none", "--out", "crash") == 4
    status = {
        row["module"].rpartition(":")[2]: row["status"] for row in rows(folder / "crash" / "summary.csv")
    }
    assert status["Dies"] == "crashed"
    assert status["Block"] in ("ok", "noisy")
    assert "SIGSEGV" in capfd.readouterr().err


def test_a_refusal_is_one_line_of_a_process_of_its_own_too(cli: Cli) -> None:
    ran = cli("profile", "block.py:Missing")
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (2, "", 1)
    assert "not there" in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("profile", "block.py:Block", "-o", "rank=3"), "no option 'rank'"),
        (("profile", "nonlocal", "-o", "width=0"), "width"),
        (("profile", "--device", "cuda:9"), "cuda:9"),
        (("profile", "reconett"), "did you mean reconet"),
        (("profile", "nope.py:Block"), "no file 'nope.py'"),
        (("profile", "--out", "block.py/run"), "cannot write"),
        (("profile", "--channels", "1000000", "--size", "1000000"), "limit"),
        (("profile", "--size", "0"), "positive"),
        (("profile", "--size", "64x48x3"), "--size"),
        (("profile", "--channels", "many"), "--channels"),
        (("profile", "--dtype", "int8"), "float32"),
        (("profile", "--device", "tpu"), "cuda"),
        (("profile", "--counter", "abacus"), "abacus"),
        (("profile", "--counter", "none,fvcore"), "none stands alone"),
        (("profile", ""), "names no module"),
        (("profile", "--tex", "nowhere/x.tex"), "--tex nowhere/x.tex lies in no folder"),
        (("profile", "--csv", "."), "--csv . is a folder"),
        (
            ("explain", "block.py:Exits", "--channels", "16", "--size", "8"),
            "Exits fails on N C H W: SystemExit",
        ),
        (("profile", "--budget", "-1"), "--budget"),
        (("profile", "--budget", "inf"), "--budget"),
        (("profile", "--timeout", "nan"), "--timeout"),
        (("profile", "--timeout", "1e300"), "--timeout"),
        (("profile", "--json", "-", "--csv", "-"), "--json and --csv"),
        (("profile", "emau", "--resume", "run", "--size", "64", "--compile"), "modules, --size, --compile"),
        (("env", "--device", "foo"), "cpu, cuda or cuda:N"),
        (("env", "--device", "cuda:99"), "cuda:99"),
        (("profile", "--resume", "nowhere"), "nowhere"),
        (("profile", "--mode", "dream"), "--mode"),
        (("compare", "nowhere", "nowhere"), "nowhere"),
        (("compare", "a", "b", "--fail-on", "mean:5"), "--fail-on"),
        (("report", "nowhere"), "nowhere"),
        (("explain",), "module"),
        (("--sideways",), "--sideways"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_input_gets_one_line_and_exit_code_2(
    arguments: tuple[str, ...],
    said: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """In this process, whose fork server loads torch once for all of them; its own output counts too."""
    monkeypatch.chdir(folder)
    assert inside(monkeypatch, *arguments) == 2
    error = capfd.readouterr().err
    assert error.count("\n") == 1
    assert (
        said.lower() in error.lower()
    )  # an argument is 'MODULE' or 'module', as the version of typer has it


def inside(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> object:
    """Run the command line in this process, and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["ctxbench", *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        main()
    return left.value.code or 0  # success is None


def test_a_defect_is_not_taken_for_a_slowdown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("of our own making")

    monkeypatch.setattr("ctxbench.report.comparison.compare.compare_runs", fail)
    assert inside(monkeypatch, "compare", "a", "b") == 70
    said = capsys.readouterr().err
    assert said.startswith("Traceback")
    assert said.endswith("ZeroDivisionError: of our own making\n")


def test_a_second_interrupt_still_tells_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ctxbench.api.profile", interrupt)
    monkeypatch.setattr("ctxbench.report.run.load_run", interrupt)
    assert inside(monkeypatch, "profile", "emau", "--out", tmp_path) == 130
    assert "--resume" not in capsys.readouterr().err
    (tmp_path / "run.json").write_text("{}")
    assert inside(monkeypatch, "profile", "emau", "--out", tmp_path) == 130
    assert f"go on with: ctxbench profile --resume {tmp_path}\n" in capsys.readouterr().err


def test_a_path_may_hold_commas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def profile(names: object, **_: object) -> None:
        asked.append(names)
        raise UserError("enough")

    monkeypatch.setattr("ctxbench.api.profile", profile)
    path = tmp_path / "a,b.py"
    path.write_text(BLOCK)
    assert inside(monkeypatch, "profile", f"{path}:Block", f"emau,{tmp_path}/c.py:Block, a2net") == 2
    assert asked == [[f"{path}:Block", "emau", f"{tmp_path}/c.py:Block", "a2net"]]


def test_an_existing_run_is_not_overwritten(cli: Cli, profiled: subprocess.CompletedProcess[str]) -> None:
    ran = cli("profile", "reconet", *SMALL, "--out", "run")
    assert (ran.returncode, ran.stderr.count("\n")) == (2, 1)
    assert "--resume" in ran.stderr


def test_a_damaged_record_is_named_by_its_line(
    cli: Cli, profiled: subprocess.CompletedProcess[str], folder: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "run"
    damaged.mkdir()
    for name in ("run.json", "records.jsonl"):
        (damaged / name).write_bytes((folder / "run" / name).read_bytes())
    lines = (damaged / "records.jsonl").read_text().splitlines(keepends=True)
    (damaged / "records.jsonl").write_text("".join([lines[0], "{broken\n", *lines[2:]]))
    ran = cli("report", str(damaged))
    assert ran.returncode == 2
    assert "line 2" in ran.stderr


@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_run_that_was_stopped_half_way_resumes_to_every_case_once(
    folder: Path, how: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = folder / f"stopped-{how.name}"
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'modules'}"}
    block = f"{folder / 'block.py'}:Uneven"
    arguments = ("profile", f"emau,{block},afnb", *SMALL[:-1], "5", "--counter", "none", "--out", str(out))
    running = subprocess.Popen(
        [sys.executable, "-m", "ctxbench", *arguments],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    journal = out / "journal.jsonl"
    while running.poll() is None and not (journal.exists() and b"round_ms" in journal.read_bytes()):
        time.sleep(0.05)
    running.send_signal(how)  # which a process that ended by itself ignores: the exit code shows that
    _, said = running.communicate()
    assert running.returncode == {signal.SIGKILL: -signal.SIGKILL, signal.SIGINT: 130}[how], said
    if how == signal.SIGINT:
        assert b"--resume" in said
        assert {row["status"] for row in rows(out / "summary.csv")} >= {"interrupted"}
    plan = json.loads((out / "run.json").read_text())
    plan["settings"]["budget_s"] = 0.05
    (out / "run.json").write_text(json.dumps(plan))
    assert inside(monkeypatch, "profile", "--resume", out) == 0
    assert sorted(row["module"] for row in rows(out / "summary.csv")) == [block, "afnb", "emau"]
    assert len((out / "records.jsonl").read_text().splitlines()) == 3


def test_help_and_list_import_neither_torch_nor_typer() -> None:
    for argument in ("--help", "list"):
        code = (
            f"import sys; sys.argv = ['ctxbench', {argument!r}]\n"
            "from ctxbench.__main__ import main; main()\n"
            "print(sorted({'torch', 'typer', 'pandas', 'rich'} & set(sys.modules)))"
        )
        env = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'modules'}"}
        ran = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env
        )
        assert ran.stdout.endswith("[]\n")


def test_version_and_env(cli: Cli) -> None:
    assert cli("--version").stdout.startswith("ctxbench 0.")
    assert "torch" in cli("env").stdout
