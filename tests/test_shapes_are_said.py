"""Code on arrays says at the line end what each reshape and product makes: ``# (N, H·W, C)``."""

import ast
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted(
    path
    for place in ("modules", "ctxbench/data", "ctxbench/networks", "ctxbench/evaluate", "ctxbench/train")
    for path in ROOT.glob(f"{place}/**/*.py")
)
RESHAPES = {
    *("reshape", "view", "permute", "transpose", "flatten", "unflatten", "as_strided"),
    *("cat", "_cat", "stack", "einsum", "bmm", "baddbmm", "baddbmm_"),
}


def statements(source: str) -> Iterator[tuple[range, set[str]]]:
    """The lines of each statement and the names it calls; of a compound one the header."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            last = body[0].lineno - 1 if body else node.end_lineno
            own = [
                child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr | ast.withitem)
            ]
            calls = [call.func for part in own for call in ast.walk(part) if isinstance(call, ast.Call)]
            names = {f.attr if isinstance(f, ast.Attribute) else getattr(f, "id", "") for f in calls}
            yield range(node.lineno, last + 1), names


def lines_without_shape(source: str) -> list[int]:
    """Where the statements begin that reshape and have no comment ``# (…`` on any of their lines."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    commented = {t.start[0] for t in tokens if t.type == tokenize.COMMENT and "# (" in t.string}
    return [
        lines.start for lines, names in statements(source) if names & RESHAPES and not commented & set(lines)
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_reshape_says_its_shape(file):
    lines = lines_without_shape(file.read_text(encoding="utf-8"))
    assert lines == [], f"no '# (N, C, H·W)' at the end of these lines of {file}"


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("y = x.flatten(2)", [1]),
        ("y = x.flatten(2)  # (N, C, H·W)", []),
        ("y = x.flatten(2)  # type: ignore[misc]  # (N, C, H·W)", []),
        ("y = x.flatten(2)  # rows", [1]),
        ("# (N, C, H·W)\ny = x.flatten(2)", [2]),
        ("y = torch.cat(\n    [a, b]\n)  # (N, 2C, H, W)", []),
        ("if c:\n    return_ = x.view(s)\nz = 1  # (N,)", [2]),
        ("for y in torch.stack(x):\n    z = y  # (N,)", [1]),
        ("with f(x.view(s)) as y:\n    z = y  # (N,)", [1]),
        ("with f(x.view(s)) as y:  # (N, C)\n    z = y.permute(1, 0)", [2]),
        ("def f(x):\n    y = [\n        v.mT  # (C, N)\n        for v in torch.stack(x)\n    ]", []),
        ("y = x.relu()", []),
    ],
)
def test_the_check_finds_what_is_missing(source, lines):
    assert lines_without_shape(source) == lines
