"""Commands that are refused: bad_inputs.toml lists them, by verb, each with what its one line must say.

All are run in this process, and 15 of them as a process of their own too. The default leg has a part of them,
from all over the list; ``pytest -m slow`` runs the others.
"""

import errno
import os
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from bad_place import DEEP, LONG, bad_place

from ctxbench.cli import main

ROOT = Path(__file__).resolve().parents[2]
ENTRIES = [
    (verb, command, said)
    for verb, entries in tomllib.loads(Path(__file__).with_name("bad_inputs.toml").read_text()).items()
    for command, said in entries.items()
]
EACH = 10
"""Every so manieth is in the default leg."""


def arguments(verb: str, command: str) -> list[str]:
    """The words of a command line; ``{long}`` is a name no file system takes, ``{deep}`` such a path."""
    words = shlex.split(command.format(long=LONG, deep=DEEP, hundreds=",".join(map(str, range(700)))))
    return words if verb == "ctxbench" else [verb, *words]


def cases(entries: list[tuple[str, str, str]]) -> list[object]:
    """The entries as parameters, those marked slow that the default leg leaves out."""
    return [
        pytest.param(*entry, id=" ".join(entry[:2])[:100], marks=[pytest.mark.slow] if index % EACH else [])
        for index, entry in enumerate(entries)
    ]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bad_place(tmp_path_factory.mktemp("bad"))


def everything_in(place: Path) -> dict[Path, int]:
    return {path: path.lstat().st_size for path in place.rglob("*")}


def check(code: object, error: str, said: str) -> None:
    assert code == 2, error
    assert error.startswith("ctxbench: "), error
    assert error.count("\n") == 1, error
    assert error.endswith("\n")
    assert said.lower() in error.lower()


def test_the_list_is_long_and_names_every_verb() -> None:
    from ctxbench.cli.app import app

    verbs = {command.name or command.callback.__name__ for command in app.registered_commands}  # type: ignore[union-attr]
    assert len(ENTRIES) >= 300
    assert {*verbs, "data"} <= {verb for verb, _, _ in ENTRIES}


@pytest.mark.parametrize(("verb", "command", "said"), cases(ENTRIES))
def test_one_line_exit_code_2_nothing_left(
    verb: str,
    command: str,
    said: str,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "argv", ["ctxbench", *arguments(verb, command)])
    before = everything_in(place)
    with pytest.raises(SystemExit) as left:
        main()
    check(left.value.code, capfd.readouterr().err, said)
    assert everything_in(place) == before


@pytest.mark.slow
@pytest.mark.parametrize(("verb", "command", "said"), ENTRIES[:: len(ENTRIES) // 15])
def test_the_same_of_a_process_of_its_own(verb: str, command: str, said: str, place: Path) -> None:
    before = everything_in(place)
    ran = subprocess.run(
        [sys.executable, "-m", "ctxbench", *arguments(verb, command)],
        cwd=place,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'modules'}"},
        capture_output=True,
        text=True,
    )
    check(ran.returncode, ran.stderr, said)
    assert everything_in(place) == before


@pytest.mark.parametrize("number", ["ENAMETOOLONG", "EACCES", "EROFS", "ENOSPC", "ENOENT"])
def test_what_the_system_says_of_a_path_is_no_defect(
    number: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of one that is not there, the code should have known."""

    def fail(*_: object) -> None:
        raise OSError(getattr(errno, number), "words of the system", f"a/{'n' * 5000}")

    monkeypatch.setattr("ctxbench.report.run.load_report", fail)
    monkeypatch.setattr(sys, "argv", ["ctxbench", "report", "a"])
    with pytest.raises(SystemExit) as left:
        main()
    said = capsys.readouterr().err
    if number == "ENOENT":
        assert left.value.code == 70
        assert said.startswith("Traceback")
    else:
        check(left.value.code, said, "words of the system")
        assert len(said) < 300
