"""Each subject's imports are its own, and nobody else sees them."""

import importlib
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxbench.errors import UserError
from ctxbench.subject.bind import build
from ctxbench.subject.resolve import load

BLOCK = """
from torch import nn
{imports}
class Block(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, WIDTH, padding=WIDTH // 2)
        self.width = WIDTH

    def forward(self, x):
        {late}
        return self.conv(x) * WIDTH
"""
SHADOWING = ("utils", "rich", "json", "models", "common", "typer")
"""Names a block's neighbour has; three of them are installed packages or the standard library's."""


def block(folder: Path, neighbour: str, width: int, late: str = "pass") -> str:
    folder.mkdir(parents=True)
    (folder / f"{neighbour}.py").write_text(f"WIDTH = {width}\n")
    (folder / "block.py").write_text(BLOCK.format(imports=f"from {neighbour} import WIDTH", late=late))
    return f"{folder}/block.py:Block"


def test_two_blocks_get_each_their_own_neighbour(tmp_path: Path) -> None:
    first, second = block(tmp_path / "a", "utils", 1), block(tmp_path / "b", "utils", 3)
    assert [build(name, 4).width for name in (first, second, first)] == [1, 3, 1]
    assert "utils" not in sys.modules
    assert not {str(tmp_path / "a"), str(tmp_path / "b")} & set(sys.path)


@pytest.mark.parametrize("top", ["layers", "rich"])
@pytest.mark.parametrize("init", [True, False])
def test_a_file_imports_by_its_place_in_the_project(tmp_path: Path, top: str, init: bool) -> None:
    """As where it is run from the project's folder: ``layers`` holds it, ``tools`` lies above it."""
    (tmp_path / top / "attention").mkdir(parents=True)
    (tmp_path / "tools").mkdir()
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "tools" / "widths.py").write_text("WIDE = 5\n")
    (tmp_path / top / "sizes.py").write_text("from tools.widths import WIDE\nWIDTH = WIDE\n")
    if init:
        (tmp_path / top / "__init__.py").write_text("import not_installed_anywhere\n")
    file = tmp_path / top / "attention" / "block.py"
    file.write_text(BLOCK.format(imports=f"from {top}.sizes import WIDTH", late="pass"))
    before = importlib.import_module(top) if top == "rich" else None
    if top == "rich" and not init:  # a folder is no package where an installed one has its name
        with pytest.raises(UserError, match=r"No module named .rich\.sizes"):
            load(f"{file}:Block")
    else:
        assert build(f"{file}:Block", 2).width == 5
    assert sys.modules.get(top) is before


def test_outside_a_project_nothing_above_a_file_is_taken(tmp_path: Path) -> None:
    (tmp_path / "tools.py").write_text("WIDTH = 3\n")
    file = tmp_path / "blocks" / "block.py"
    file.parent.mkdir()
    file.write_text(BLOCK.format(imports="from tools import WIDTH", late="pass"))
    with pytest.raises(UserError, match="No module named 'tools'"):
        load(f"{file}:Block")
    (tmp_path / "setup.py").write_text("")
    assert load(f"{file}:Block").maker(2).width == 3


@given(
    st.lists(st.tuples(st.sampled_from(SHADOWING), st.integers(1, 9)), min_size=2, max_size=5), st.randoms()
)
def test_any_neighbours_in_any_order_stay_apart(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[tuple[str, int]], random: object
) -> None:
    root = tmp_path_factory.mktemp("blocks")
    before = {name: sys.modules.get(name) for name in SHADOWING}
    made = [(block(root / str(i), name, width), width) for i, (name, width) in enumerate(kinds)]
    random.shuffle(made)  # type: ignore[attr-defined]
    assert [load(name).make({"dim": 4}).width for name, _ in made] == [width for _, width in made]
    assert {name: sys.modules.get(name) for name in SHADOWING} == before


@pytest.mark.parametrize(
    "late",
    [
        "from utils import WIDTH",
        "import utils; WIDTH = utils.WIDTH",
        "import importlib; WIDTH = importlib.import_module('utils').WIDTH",
    ],
)
def test_what_is_imported_in_forward_is_the_blocks_own_too(tmp_path: Path, late: str) -> None:
    import torch

    one, other = (block(tmp_path / str(w), "utils", w, late) for w in (3, 5))
    modules = [build(one, 2), build(other, 2)]
    for module, width in zip(modules, (3, 5), strict=True):
        torch.nn.init.zeros_(module.conv.weight)
        torch.nn.init.ones_(module.conv.bias)
        assert module(torch.ones(1, 2, 4, 4)).unique().tolist() == [width]


def test_packages_of_one_name_in_two_places_stay_apart(tmp_path: Path) -> None:
    for side in (3, 7):
        package = tmp_path / str(side) / "mymodel" / "blocks"
        package.mkdir(parents=True)
        for folder in (package, package.parent):
            (folder / "__init__.py").touch()
        (package.parent / "sizes.py").write_text(f"WIDTH = {side}\n")
        for name, line in (("near", "from ..sizes import WIDTH"), ("far", "from mymodel.sizes import WIDTH")):
            (package / f"{name}.py").write_text(BLOCK.format(imports=line, late="pass"))
    widths = [
        build(f"{tmp_path}/{side}/mymodel/blocks/{name}.py:Block", 2).width
        for side in (3, 7)
        for name in ("near", "far")
    ]
    assert widths == [3, 3, 7, 7]
    assert "mymodel" not in sys.modules


def test_a_name_that_shadows_an_installed_package_is_the_folders_and_only_there(tmp_path: Path) -> None:
    assert build(block(tmp_path / "a", "pandas", 5), 2).width == 5
    assert hasattr(importlib.import_module("pandas"), "DataFrame")


@pytest.mark.parametrize("failing", ["import nothing_of_that_name", "raise SystemExit(3)", "1 / 0"])
def test_of_a_package_whose_init_fails_the_file_is_imported_alone(tmp_path: Path, failing: str) -> None:
    package = tmp_path / "broken"
    package.mkdir()
    (package / "__init__.py").write_text(f"{failing}\n")
    (package / "sizes.py").write_text("WIDTH = 3\n")
    for name, line in (("near", "from .sizes import WIDTH"), ("far", "from broken.sizes import WIDTH")):
        (package / f"{name}.py").write_text(BLOCK.format(imports=line, late="pass"))
        assert build(f"{package}/{name}.py:Block", 2).width == 3
    (package / "bad.py").write_text("import sizes_of_nobody\n")
    with pytest.raises(
        UserError,
        match=r"bad.py cannot be imported: .*sizes_of_nobody.* \(bad.py:1\) \(its package fails too",
    ):
        load(f"{package}/bad.py:Block")


def test_a_file_of_a_package_may_import_what_lies_beside_it_as_a_script_does(tmp_path: Path) -> None:
    name = block(tmp_path / "package", "beside", 9)
    (tmp_path / "package" / "__init__.py").touch()
    assert build(name, 2).width == 9


def test_a_changed_neighbour_is_imported_again(tmp_path: Path) -> None:
    name = block(tmp_path / "a", "utils", 3)
    assert build(name, 2).width == 3
    neighbour = tmp_path / "a" / "utils.py"
    neighbour.write_text("WIDTH = 15\n")
    os.utime(neighbour, ns=(1, 1))
    assert build(name, 2).width == 15


def test_a_module_in_the_working_folder_is_found_and_leaves_no_name_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for side in (3, 5):
        block(tmp_path / str(side), "common_of_mine", side)
        monkeypatch.chdir(tmp_path / str(side))
        assert build("block:Block", 2).width == side
    assert not {"block", "common_of_mine"} & set(sys.modules)


def test_a_compiled_block_with_imports_of_its_own_still_compiles(tmp_path: Path) -> None:
    import torch
    from torch._dynamo.testing import CompileCounter

    module = build(block(tmp_path / "a", "utils", 3), 2)
    counter = CompileCounter()
    torch.compile(module, backend=counter)(torch.ones(1, 2, 4, 4))
    assert counter.frame_count == 1


def test_a_package_whose_init_fails_is_imported_by_name_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One breaks below another, which then lacks a name: both are left out, and nothing of it stays."""
    package = tmp_path / "broken_package"
    (package / "parts").mkdir(parents=True)
    (package / "heads").mkdir()
    (package / "__init__.py").write_text("from .heads import Head\n")
    (package / "parts" / "__init__.py").write_text("import nothing_of_that_name\nPART = 1\n")
    (package / "heads" / "__init__.py").write_text("from ..parts import PART\nclass Head: pass\n")
    (package / "heads" / "block.py").write_text(
        "from torch import nn\nfrom .width import WIDTH\nclass Block(nn.Module):\n    width = WIDTH\n"
    )
    (package / "heads" / "width.py").write_text("WIDTH = 7\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert load("broken_package.heads.block:Block").maker.width == 7
    assert "broken_package" not in sys.modules
    with pytest.raises(
        UserError, match=r"cannot import 'broken_package': ModuleNotFoundError: .* \(__init__.py:1\)$"
    ):
        load("broken_package:Head")
