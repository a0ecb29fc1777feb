"""A head around a block, stated as an expression, against closed forms."""

from pathlib import Path

import pytest

from ctxbench import api
from ctxbench.errors import UserError
from ctxbench.subject import resolve
from ctxbench.tracing import views

C, WIDTH, CLASSES, H, W = 24, 8, 5, 6, 7
BLOCK = f"{Path(__file__).parents[1] / 'audit' / 'blocks.py'}:Affinity"
REDUCE = 9 * C * WIDTH * H * W
AFFINITY = WIDTH * H * W + 2 * WIDTH * (H * W) ** 2
"""MACs of the 3×3, and of audit/blocks.py's Affinity on what it gives."""


@pytest.mark.parametrize(
    ("head", "macs"),
    [
        (f"head({C}, {WIDTH}, {BLOCK})", REDUCE + AFFINITY),
        (f"head(C, {WIDTH}, {BLOCK}, concat=True)", REDUCE + AFFINITY + 2 * WIDTH * WIDTH * H * W),
        (
            f"head(C, {WIDTH}, block={BLOCK}, classes=5)",
            REDUCE + AFFINITY + WIDTH * CLASSES * H * W,
        ),
        (f"head(C, {WIDTH}, se(reduction=4))", REDUCE + 2 * WIDTH * WIDTH // 4),
    ],
)
def test_a_head_is_its_layers_and_its_block(head: str, macs: int) -> None:
    assert views.macs(api.trace(head, (1, C, H, W))) == macs


@pytest.mark.parametrize("block", ["nonlocal", "lambda", "'nonlocal'", "emau(bases=4)", "gfnet"])
def test_a_block_is_named_as_everywhere(block: str) -> None:
    head = resolve.canonical(f"head(C, {WIDTH}, {block}, concat=True)")
    assert head == f"head(C, {WIDTH}, {block.strip(chr(39))!r}, concat=True)"
    assert resolve.canonical(head) == head
    assert api.trace(head, (1, C, H, W)).output_shape == (1, WIDTH, H, W)


def test_a_comma_in_the_name_of_a_folder_parts_no_arguments() -> None:
    head = "head(C, 8, 'a,b/blocks.py:Block')"
    assert resolve.canonical(head) == head


@pytest.mark.parametrize(
    ("head", "why"),
    [
        ("head(C, 0, se)", "head: width must be an integer of at least 1, not 0"),
        ("head(C, 8, nope)", "no module named 'nope'"),
        ("head(C, 8)", "missing 1 required positional argument: 'block'"),
        ("head(23, 8, se)", "channels is given twice"),
        ("head(C, 8, none)", "no module named 'none'"),
        ("head(23, 8, nope)", "no module named 'nope'"),
    ],
)
def test_a_head_that_cannot_be_is_one_line(head: str, why: str) -> None:
    with pytest.raises(UserError, match=why.replace("(", r"\(")) as refused:
        api.trace(head, (1, C, H, W))
    assert len(str(refused.value).splitlines()) == 1
