"""Code on arrays says at the line end what each reshape and product makes: ``# (N, H·W, C)``."""

import ast
import io
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted(
    path
    for place in ("modules", "ctxbench/data", "ctxbench/networks", "ctxbench/evaluate", "ctxbench/train")
    for path in ROOT.glob(f"{place}/**/*.py")
)
RESHAPES = {
    *("reshape", "view", "permute", "transpose", "movedim", "swapaxes", "flatten", "unflatten", "as_strided"),
    *("cat", "_cat", "stack", "einsum", "bmm", "baddbmm", "baddbmm_"),
}


def lines_without_shape(source: str) -> list[int]:
    """The lines on which a reshape is called, and at whose end no comment says what it makes, ``# (…``."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    commented = {t.start[0] for t in tokens if t.type == tokenize.COMMENT and "# (" in t.string}
    called = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    names = [(f.attr if isinstance(f, ast.Attribute) else getattr(f, "id", ""), f.end_lineno) for f in called]
    return sorted({line for name, line in names if name in RESHAPES} - commented)


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
        ("y = torch.cat(  # (N, 2C, H, W)\n    [a, b]\n)", []),
        ("y = torch.cat(\n    [a, b]\n)  # (N, 2C, H, W)", [1]),
        ("y = norm(\n    x.view(s)\n)  # (N, C, H, W)", [2]),
        ("y = (  # (N, C, H·W)\n    f(x.flatten(2)) for x in z\n)", [2]),
        ("y = (\n    x.flatten(2)\n    .mT.view(s)  # (N, H·W, C)\n)", [2]),
        ("if c:\n    return_ = x.view(s)\nz = 1  # (N,)", [2]),
        ("for y in torch.stack(x):\n    z = y  # (N,)", [1]),
        ("with f(x.view(s)) as y:\n    z = y  # (N,)", [1]),
        ("with f(x.view(s)) as y:  # (N, C)\n    z = y.permute(1, 0)", [2]),
        ("def f(x):\n    y = [\n        v.mT  # (C, N)\n        for v in torch.stack(x)\n    ]", [4]),
        ("y = x.relu()", []),
    ],
)
def test_the_check_finds_what_is_missing(source, lines):
    assert lines_without_shape(source) == lines
