"""Classes typed in cells: sources that the test enters as a notebook does, into a ``__main__`` of its own."""

import linecache
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import ctxbench
from ctxbench.errors import UserError
from ctxbench.subject import registry
from ctxbench.subject.resolve import load

IMPORTS = """
import math
from functools import wraps
from math import sqrt as root

import torch
import torch.nn.functional as F
from torch import nn, float32
"""
BLOCK = """
class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.layer = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        return {}
"""

Enter = Callable[[str], None]


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """A session without a file; what is written for it goes to a cache of the test's own."""
    module = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return module


@pytest.fixture
def enter(main: ModuleType) -> Enter:
    """Run a cell: its source is kept under a name of its own, as IPython and a prompt do."""

    def run(source: str) -> None:
        name = f"<cell {len(linecache.cache)} {hash(source)}>"
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        exec(compile(source, name, "exec"), vars(main))

    return run


def written(cls: type) -> str:
    """The file that a class is written to."""
    return Path(registry.place(cls).rpartition(":")[0]).read_text()


def in_another_process(cls: type, expression: str) -> str:
    """What an expression is there in which ``cls`` is the class, loaded by its place."""
    loads = f"from ctxbench.subject.resolve import load; cls = load({registry.place(cls)!r}).maker"
    code = f"{loads}; print({expression})"
    environment = {"PYTHONPATH": ":".join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    return ran.stdout.strip()


CELLS = (
    IMPORTS + "import torch.utils.checkpoint",
    "x = torch.ones(3)\nWIDTHS = (4, 8)\nFACTORS = {'a': 2.5, None: True}\nUNUSED = 5",
    "relu = lambda t: F.relu(t)\ndouble = lambda w: 2 * w",
    """
def twice(f):
    @wraps(f)
    def g(*a):
        return double(f(*a))
    return g
""",
    "class Mixin:\n    depth = 3\n\nclass Base(nn.Module, Mixin):\n    pass\nParent = Base",
    """
class Block(Parent):
    sizes: list[int] = [double(w) for w in WIDTHS]

    def __init__(self, channels, dtype=float32):
        super().__init__()
        self.layer = nn.Conv2d(channels, channels, 1, bias=False, dtype=dtype)
        nn.init.constant_(self.layer.weight, FACTORS["a"])

    @twice
    def forward(self, x):
        return relu(self.layer(x)) * root(self.depth) * helper(math.pi) + self.sizes[0]
""",
    """
def helper(x):
    return torch.utils.checkpoint.checkpoint(round, x, use_reentrant=False) + len(again())
""",
    "def again():\n    return [helper, Block]",
)


def test_a_class_with_all_that_it_uses_is_another_process_s_too(main: Any, enter: Enter) -> None:
    for cell in CELLS:
        enter(cell)
    import torch

    x = torch.rand(1, 4, 3, 3)
    mine = main.Block(4)(x).sum().item()
    there = in_another_process(main.Block, f"cls(4)(__import__('torch').tensor({x.tolist()})).sum().item()")
    assert float(there) == pytest.approx(mine)
    text = written(main.Block)
    assert "import torch.utils.checkpoint" in text
    assert "UNUSED" not in text
    assert "x = torch" not in text  # the argument's name is not the tensor's


def test_a_source_is_a_name_and_another_source_another(main: Any, enter: Enter) -> None:
    enter(IMPORTS)
    enter(BLOCK.format("self.layer(x) + RANK"))
    places = []
    for value in (1, 1, 2):
        main.RANK = value
        places.append(registry.place(main.Block))
    assert places[0] == places[1] != places[2]
    enter(BLOCK.format("self.layer(x)"))
    assert registry.place(main.Block) not in places
    assert [load(place).maker.__name__ for place in places] == ["Block"] * 3


def test_a_class_without_methods_is_found_where_one_cell_alone_has_it(main: Any, enter: Enter) -> None:
    enter("from torch import nn\nclass Same7(nn.Identity):\n    '''Nothing of its own.'''")
    assert load(registry.place(main.Same7)).maker.__doc__ == "Nothing of its own."
    enter("class Same7(nn.Identity):\n    depth = 2")
    with pytest.raises(UserError, match="the source of Same7 is not known"):
        registry.place(main.Same7)


def test_annotations_are_read_as_they_were(main: Any, enter: Enter) -> None:
    enter("from __future__ import annotations\nfrom torch import nn\nclass Block(nn.Identity):\n"
          "    def forward(self, x: Unheard) -> Unheard:\n        return x")  # fmt: skip
    assert written(main.Block).startswith("from __future__ import annotations\n")


REFUSED = {
    "it uses x, which is a Tensor of the session": "x = torch.ones(2)\n"
    + BLOCK.format("self.layer(torch.relu(x))").replace("(self, x)", "(self, y)"),
    "Block was changed after it was defined": BLOCK.format("x") + "\nBlock.rank = 5",
    "Block was changed": BLOCK.format("x") + "\ndef f(self, x):\n    return x + 1\nBlock.forward = f",
    "it is defined within another class": "class Outer:"
    + BLOCK.format("x").replace("\n", "\n    ")
    + "\nBlock = Outer.Block",
    "the source of f is not known": "f, g = (lambda x: x), (lambda x: x)\n" + BLOCK.format("f(x)"),
    "it uses the module odd, which": "import types\nodd = types.ModuleType('odd')" + BLOCK.format("odd.f(x)"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_cannot_be_written_down_is_refused_in_a_line_with_the_way_out(
    main: Any, enter: Enter, why: str
) -> None:
    enter(IMPORTS)
    enter(REFUSED[why])
    with pytest.raises(UserError, match=why) as refusal:
        ctxbench.count(main.Block, (1, 4, 3, 3))
    assert "\n" not in str(refusal.value)
    assert "write it into a file, and name it path/to/block.py:Block" in str(refusal.value)


def test_a_class_whose_source_nobody_kept_is_refused(main: Any) -> None:
    exec(compile(IMPORTS + BLOCK.format("x"), "<nowhere>", "exec"), vars(main))
    with pytest.raises(UserError, match="the source of Block is not known"):
        registry.place(main.Block)


def test_what_is_read_from_a_pipe_has_no_source() -> None:
    script = IMPORTS + BLOCK.format("x") + "\nimport ctxbench\nctxbench.count(Block, (1, 4, 3, 3))\n"
    environment = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    ran = subprocess.run([sys.executable], input=script, capture_output=True, text=True, env=environment)
    assert "UserError: Block cannot be imported by another process: the source of Block" in ran.stderr


def test_every_verb_takes_the_class(main: Any, enter: Enter, tmp_path: Path) -> None:
    enter(IMPORTS)
    enter(BLOCK.format("self.layer(x)"))
    shape = (1, 8, 6, 5)
    macs = 8 * 8 * 6 * 5
    assert ctxbench.count(main.Block, shape).macs == macs
    assert sum(op.macs for op in ctxbench.trace(main.Block, shape).ops) == macs
    assert ctxbench.explain(main.Block, shape, counters=[]).counted_macs == macs
    run = ctxbench.profile(
        main.Block, channels=8, sizes=[(6, 5)], budget_s=0.05, counters=(), out=tmp_path / "run"
    )
    (record,) = run.records
    assert (record.status, record.macs) == ("ok", macs)
    assert run.plan.sources.keys() == {record.case.module}  # with the digest of the file's text
    assert ctxbench.load_run(tmp_path / "run").records == run.records


def test_a_registered_class_of_a_cell_is_profiled_by_its_name(
    main: Any, enter: Enter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_registered", {})
    monkeypatch.setattr(registry, "_classes", {})
    enter(IMPORTS + "import ctxbench")
    enter('@ctxbench.register("mine")' + BLOCK.format("self.layer(x)"))
    run = ctxbench.profile(
        "mine", channels=8, sizes=[(6, 5)], budget_s=0.05, counters=(), out=tmp_path / "run"
    )
    assert [record.status for record in run.records] == ["ok"]
