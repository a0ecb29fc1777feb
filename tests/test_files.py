import errno
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ctxbench.errors import UserError
from ctxbench.files import locked, write_text, written_whole


def test_a_failure_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    path = write_text(tmp_path / "a.txt", "before")

    def write_half() -> None:
        with written_whole(path) as new:
            new.write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(UserError, match=r"cannot write .*a\.txt: No space left"):
        write_half()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("before")
    link.symlink_to(target)
    write_text(link, "after")
    assert link.is_symlink()
    assert target.read_text() == "after"


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    """As /dev/null and /dev/stdout must be, which a privileged user could replace."""
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write_text(pipe, "through")
    assert pipe.is_fifo()
    reader.join()
    assert read == ["through"]


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot write"):
        write_text(tmp_path, "text")


HOLDER = """
import os, sys, time
from collections.abc import Iterator
from pathlib import Path
from ctxbench.files import locked
with locked(Path(sys.argv[1])):
    if sys.argv[2] == "fork" and os.fork() == 0:
        time.sleep(600)
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture(params=["alone", "fork"])
def holder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds ``tmp_path``, in one case with a child of its own that lives on."""
    if request.param == "fork" and not hasattr(os, "fork"):
        pytest.skip("no fork on this system")
    command = [sys.executable, "-c", HOLDER, str(tmp_path), request.param]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    children = psutil.Process(process.pid).children()
    yield process
    for other in (process, *children):
        other.kill()
        other.wait()
    process.stdout.close()


def test_a_folder_is_held_by_one_process_until_that_is_gone(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(str(tmp_path))} is being written by another process$"):
        locked(tmp_path).__enter__()
    holder.kill()
    holder.wait()
    with locked(tmp_path), pytest.raises(UserError, match="is being written by another process"):
        locked(tmp_path).__enter__()
    assert list(tmp_path.iterdir()) == []


def test_a_hold_leaves_nothing_behind_also_after_an_error(tmp_path: Path) -> None:
    def fail() -> None:
        with locked(tmp_path, "some.lock"):
            assert [path.name for path in tmp_path.iterdir()] == ["some.lock"]
            raise KeyError

    for _ in range(2):
        with pytest.raises(KeyError):
            fail()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot write .*missing: it is no folder"):
        locked(tmp_path / "missing").__enter__()
    assert not (tmp_path / "missing").exists()
