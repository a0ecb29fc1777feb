"""Commands that are killed at random moments and gone on with: see tests/kills_of_commands.py."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="what a command leaves is looked for in /proc")
@pytest.mark.parametrize(("subject", "count"), [("profile", 6), ("table8", 3)])
def test_nothing_finished_is_lost_by_a_kill(subject: str, count: int, tmp_path: Path) -> None:
    paths = os.pathsep.join(str(ROOT / part) for part in ("", "modules", "tests"))
    process = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "kills_of_commands.py"), subject, "--count", str(count)],
        env={**os.environ, "PYTHONPATH": paths, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    assert f"{subject}, 0 faults" in process.stdout
