"""The architecture as it is drawn: no import circles, folders that can be taken in at a glance."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).resolve().parent.parent
HOMES = {"ctxbench": ROOT / "ctxbench", "ctxbench_modules": ROOT / "modules" / "ctxbench_modules"}
FACE = "ctxbench"
"""The package's face, which names everything and which nothing imports."""


def sources() -> dict[str, Path]:
    """Every source file by the name of its module."""
    named = {}
    for package, home in HOMES.items():
        for path in home.rglob("*.py"):
            parts = (package, *path.relative_to(home).with_suffix("").parts)
            named[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return named


def imported(tree: ast.Module, modules: set[str]) -> Iterator[str]:
    """The modules of ours that a file imports anywhere: at its top, in functions, for type checkers alone."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                name = whole if whole in modules else node.module
                if name in modules:
                    yield name


def graph() -> dict[str, set[str]]:
    """What each module imports of ours."""
    modules = sources()
    names = set(modules)
    return {
        name: set(imported(ast.parse(path.read_text(encoding="utf-8")), names)) - {name}
        for name, path in modules.items()
    }


def test_there_is_no_import_circle() -> None:
    """Imports inside functions and under TYPE_CHECKING count: a reader follows them too."""
    try:
        list(TopologicalSorter(graph()).static_order())
    except CycleError as error:
        pytest.fail(" → ".join(reversed(error.args[1])))


def test_a_circle_would_be_found() -> None:
    with pytest.raises(CycleError):
        list(TopologicalSorter({"a": {"b"}, "b": {"c"}, "c": {"a"}}).static_order())


def test_nothing_imports_the_face() -> None:
    assert [name for name, imports in graph().items() if FACE in imports] == []


VERBS = {
    "attention",
    "audit",
    "calibrate",
    "choose",
    "compare",
    "data",
    "decode",
    "env",
    "eval",
    "explain",
    "list",
    "paper",
    "probe",
    "profile",
    "report",
    "study",
    "sweep",
    "train",
}
"""Files of the command line that are one verb each, or one family of verbs."""


def test_the_verbs_are_the_files_that_add_a_command() -> None:
    """So that no file is left out of the count of a folder's files, below, that is no verb."""
    files = (HOMES["ctxbench"] / "cli").glob("*.py")
    adds = ("@app.command(", "app.add_typer(")
    assert {
        path.stem for path in files if any(call in path.read_text(encoding="utf-8") for call in adds)
    } == VERBS


# Folders with code: not __pycache__, which appear while another process collects the same tests.
@pytest.mark.parametrize("folder", sorted({path.parent for path in HOMES["ctxbench"].rglob("*.py")}), ids=str)
def test_a_folder_is_taken_in_at_a_glance(folder: Path) -> None:
    """About a dozen files; of the command line, which has one for each verb, those beside the verbs."""
    files = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
    if folder.name == "cli":
        files = [path for path in files if path.stem not in VERBS]
    assert len(files) <= 13
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in folder.glob("*.py")) <= 3000


LONG_FILES = {"api.py": "every verb's signature and docstring in one place"}
"""Files of ctxbench that may be longer than others, and why."""


def lines_of_files() -> dict[str, int]:
    """How many lines each file of ctxbench has."""
    home = HOMES["ctxbench"]
    return {
        path.relative_to(home).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in home.rglob("*.py")
    }


def test_no_file_is_long_without_a_reason() -> None:
    long = {name for name, lines in lines_of_files().items() if lines > 310}
    assert long - LONG_FILES.keys() == set()


def test_files_are_short() -> None:
    assert median(lines_of_files().values()) <= 150
