"""Whose line an error names: the user's own, or their package's, and never Python's, torch's or ours."""

import sys
import sysconfig
from importlib import import_module
from pathlib import Path

import pytest
import torch

import ctxbench_modules
from ctxbench.errors import in_users_code
from ctxbench.sandbox.child import in_child, in_new_process

BLOCK = """import json

import torch


def of_torch():
    return torch.zeros(2, 3) @ torch.zeros(2, 3)


def of_python():
    return json.loads("{")


def from_another():
    try:
        of_torch()
    except RuntimeError as error:
        raise KeyError("width") from error
"""


def raised(call: object) -> str:
    with pytest.raises((RuntimeError, ValueError, KeyError)) as error:
        call()  # type: ignore[operator]
    return in_users_code(error.value)


def compiled(file: Path | str) -> object:
    """The block's first function, as if it stood in that file."""
    names: dict[str, object] = {}
    exec(compile(BLOCK, str(file), "exec"), names)
    return names["of_torch"]


@pytest.fixture
def block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    (tmp_path / "block_of_lines.py").write_text(BLOCK)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield import_module("block_of_lines")
    del sys.modules["block_of_lines"]


def test_the_innermost_line_of_the_users_is_named(block: object) -> None:
    here = f" ({Path(__file__).name}:"
    assert raised(block.of_torch) == " (block_of_lines.py:7)"  # type: ignore[attr-defined]
    assert raised(block.of_python) == " (block_of_lines.py:11)"  # type: ignore[attr-defined]
    assert raised(block.from_another) == " (block_of_lines.py:18)"  # type: ignore[attr-defined]
    assert raised(lambda: torch.zeros(2) @ torch.zeros(3)).startswith(here)


@pytest.mark.parametrize("run", [in_child, in_new_process])
def test_what_was_raised_in_another_process_has_its_line_there(block: object, run: object) -> None:
    failing = block.of_torch  # type: ignore[attr-defined]
    assert raised(lambda: run(failing)) == " (block_of_lines.py:7)"  # type: ignore[operator]


def test_a_package_that_a_block_comes_from_is_named_and_what_it_stands_on_is_not() -> None:
    packages = Path(sysconfig.get_path("stdlib")) / "site-packages"
    for theirs in (
        packages / "timm" / "layers.py",
        Path(f"{torch.__path__[0]}vision") / "ops.py",  # beside torch, and not in it
        Path(f"{sys.modules['ctxbench'].__path__[0]}_of_mine") / "ops.py",
    ):
        assert raised(compiled(theirs)) == f" ({theirs.name}:7)"
    for installed in (
        Path(torch.__path__[0]) / "nn" / "layer.py",
        Path(ctxbench_modules.__path__[0]) / "layer.py",
        Path(sysconfig.get_path("stdlib")) / "layer.py",
        "<string>",
    ):
        assert raised(compiled(installed)).startswith(f" ({Path(__file__).name}:")
