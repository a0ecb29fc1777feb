"""Values as people type them: what is taken, what is refused, and that nothing is run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ctxbench.errors import UserError
from ctxbench.subject.expression import evaluate, option_value, parse_call, split_call

SIZES = {"N": 2, "C": 64, "H": 32, "W": 48}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("C", 64),
        ("H//8", 4),
        ("C * (H + 1) % 7", 64 * 33 % 7),
        ("(H, W)", (32, 48)),
        ("[C, 2 * C]", [64, 128]),
        ("{'type': 'BN', 'width': C}", {"type": "BN", "width": 64}),
        ("-1.5", -1.5),
        ("None", None),
        ("nn.GELU", nn.GELU),
        ("nn:GELU", nn.GELU),
        ("torch.nn.GELU", nn.GELU),
        ("'C'", "C"),
        ("Own", int),
    ],
)
def test_what_is_taken(text: str, value: object) -> None:
    assert evaluate(text, SIZES, {"Own": int}) == value


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "nn.GELU()",
        "(lambda: 1)()",
        "[x for x in (1, 2)]",
        "nn.__dict__",
        "nn.functional.__globals__",
        "C if H else W",
        "'a' * 10**9",
        "9**9**9",
        "2**65",
        "1 // 0",
        "True + 1",
        "os",
        "torch.load",
        "nn.NoSuchLayer",
        "C +",
        "*C",
        "",
    ],
)
def test_what_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(UserError) as error:
        evaluate(text, SIZES)
    assert "\n" not in str(error.value)


@given(st.text(max_size=40))
def test_any_text_is_a_value_or_refused(text: str) -> None:
    try:
        evaluate(text, SIZES)
    except UserError as error:
        assert "\n" not in str(error).replace(repr(text), "")  # noqa: PT017 - either may happen


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("8", 8),
        ("true", True),
        ("relu", "relu"),
        ("u-net", "u-net"),
        ("H//8", "=H // 8"),
        ("C", "=C"),
        ("nn:GELU", "=nn.GELU"),
        ("(H, W)", "=(H, W)"),
        ("'H'", "H"),
        ("'=x'", "='=x'"),
        ("a*b", "a*b"),
    ],
)
def test_an_option_is_an_expression_only_of_sizes_and_layers(text: str, stored: object) -> None:
    assert option_value(text) == stored


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("block.py:Block(C, 8)", ("block.py:Block", "(C, 8)")),
        ("a (copy)/block.py:Block", ("a (copy)/block.py:Block", "")),
        ("a(b)/block.py:Block({'k': (1, 2)})", ("a(b)/block.py:Block", "({'k': (1, 2)})")),
        ("block.py:make(act=nn:GELU)", ("block.py:make", "(act=nn:GELU)")),
        ("nonlocal(C, width=256)", ("nonlocal", "(C, width=256)")),
        ("block.py", ("block.py", "")),
        ("pkg.mod:Block()", ("pkg.mod:Block", "()")),
    ],
)
def test_a_call_is_told_from_brackets_in_a_path(text: str, parts: tuple[str, str]) -> None:
    assert split_call(text) == parts


def test_a_call_keeps_its_arguments_as_text_and_refuses_stars() -> None:
    call = parse_call("(C, 8, act=nn:GELU, fmap=(H, W))")
    assert (call.positional, call.keywords) == (("C", "8"), {"act": "nn.GELU", "fmap": "(H, W)"})
    for text in ("(*sizes)", "(**options)", "(f(x))"):
        with pytest.raises(UserError):
            parse_call(text)
