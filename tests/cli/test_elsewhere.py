"""Where there is no fork, no /proc and none of the modules that only Unix has, as on Windows and macOS.

Python reads ``sitecustomize`` first in every process, so that what it takes away is gone in the workers too.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from synthetic import record, write_run

WITHOUT = """
import builtins
import multiprocessing
import os
import pathlib

UNIX = {"crypt", "curses", "fcntl", "grp", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty"}
imported = builtins.__import__


def refuse(name, globals=None, *more, **other):
    importer = (globals or {}).get("__name__", "")
    # these two have other code for other systems, which they choose by sys.platform
    if name in UNIX and importer.partition(".")[0] not in ("psutil", "filelock"):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return imported(name, globals, *more, **other)


builtins.__import__ = refuse
for name in ("fork", "forkpty", "sched_getaffinity", "getuid", "geteuid"):
    if hasattr(os, name):
        delattr(os, name)
multiprocessing.get_all_start_methods = lambda: ["spawn"]


def without(place):
    return str(place).startswith(("/proc", "/sys"))


def blind(look):
    return lambda place, *more, **other: False if without(place) else look(place, *more, **other)


os.access = blind(os.access)
for name in ("exists", "is_dir", "is_file"):
    setattr(pathlib.Path, name, blind(getattr(pathlib.Path, name)))
"""
SMALL = ("--channels", "8", "--size", "4")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(WITHOUT)
    write_run(folder / "run", [record("emau"), record("afnb")])
    return folder


def run(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Type a command there."""
    paths = [str(place / "site"), *filter(None, sys.path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    warnings = ("-W", "error", "-W", "ignore::DeprecationWarning")  # of old packages beside new ones
    command = [sys.executable, *warnings, "-m", "ctxbench", *arguments]
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)


def test_the_modules_are_gone_and_fork_too(place: Path) -> None:
    code = "import os, psutil\nassert not hasattr(os, 'fork') and not os.access('/proc', 0)\nimport resource"
    environment = {**os.environ, "PYTHONPATH": str(place / "site")}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert ran.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'resource'"


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("list", "--family", "channel"), "SE"),
        pytest.param(("choose", "run", "--max", "latency=1s"), "Take AFNB", marks=SLOW),
        pytest.param(("compare", "run", "run"), "SAME", marks=SLOW),
        pytest.param(("report", "run"), "Written to run", marks=SLOW),
        pytest.param(("env",), "torch", marks=SLOW),
        pytest.param(("explain", "emau", *SMALL), "fvcore", marks=SLOW),
        pytest.param(("decode", "se", "2.38K", *SMALL), "SE", marks=SLOW),
        pytest.param(("sweep", "se", "--values", "4,8,16", "--channels", "8"), "exponent", marks=SLOW),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_needs_no_unix_goes_on(place: Path, command: tuple[str, ...], said: str) -> None:
    ran = run(place, *command)
    assert ran.returncode == 0, ran.stderr
    assert said in ran.stdout
    assert ran.stderr == ""


@pytest.mark.slow
def test_a_profile_measures_what_it_can_and_says_why_the_rest_is_empty(place: Path) -> None:
    (place / "block.py").write_text(
        "from torch import nn\n\n\nclass Block(nn.Module):\n    def __init__(self, dim):\n"
        "        super().__init__()\n        self.conv = nn.Conv2d(dim, dim, 1)\n\n"
        "    def forward(self, x):\n        return self.conv(x)\n"
    )
    budget = ("--budget", "0.1", "--counter", "none", "--out", "measured")
    ran = run(place, "profile", "block.py", *SMALL, *budget)
    assert ran.returncode == 0, ran.stderr
    records = [json.loads(line) for line in (place / "measured" / "records.jsonl").read_text().splitlines()]
    assert [one["status"] for one in records] == ["ok"]
    for one in records:
        assert one["rounds_ms"]
        assert one["alloc_bytes"] is not None
        assert one["process_bytes"] is None
        assert "no high-water mark that can be reset" in one["reasons"]["process_bytes"]
        assert one["spent_mj"] is None
        assert "shows no energy counter of its CPU" in one["reasons"]["spent_mj"]
