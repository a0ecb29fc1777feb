"""Trainings that are killed at random moments: see tests/kills.py."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("count", [3, pytest.param(100, marks=pytest.mark.slow)])
def test_a_training_killed_at_random_moments_comes_to_the_same_end(count: int, tmp_path: Path) -> None:
    paths = os.pathsep.join(str(ROOT / part) for part in ("", "modules", "tests"))
    process = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "kills.py"), "--count", str(count)],
        env={**os.environ, "PYTHONPATH": paths, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    assert f"{count} trainings killed, 0 faults" in process.stdout
