"""What pytest says at its end of the tests that were skipped."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SKIPS = """
import pytest

@pytest.mark.parametrize("archive", ["a.tar", "b.tar"])
def test_of_real_data(archive):
    pytest.skip(f"no {archive} in /nowhere (set CTXBENCH_DATA)")

@pytest.mark.skip("no such program")
def test_of_a_program():
    raise AssertionError

def test_of_nothing():
    pass
"""


@pytest.mark.parametrize("workers", ["0", pytest.param("1", marks=pytest.mark.slow)])
def test_every_reason_to_skip_has_its_line(workers: str, tmp_path: Path) -> None:
    shutil.copy(Path(__file__).parent / "conftest.py", tmp_path)
    (tmp_path / "test_skips.py").write_text(SKIPS)
    command = [sys.executable, "-m", "pytest", "-q", "-n", workers, "-p", "no:cacheprovider", str(tmp_path)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    lines = ran.stdout.splitlines()
    assert "1 skipped: no such program" in lines
    assert [line for line in lines if "CTXBENCH_DATA" in line] == [
        "2 skipped for want of real data, which CONTRIBUTING.md lists; "
        "with a folder of it: CTXBENCH_DATA=FOLDER pytest"
    ]
    assert lines[-1].startswith("1 passed, 3 skipped")
