import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxbench.report.growth import exponent
from ctxbench.subject.registry import SPECS


@pytest.mark.parametrize(
    ("complexity", "letters", "degree"),
    [
        ("O(CH²W²)", "HW", 4),
        ("O(CH²W²)", "H", 2),
        ("O(CH²W²)", "C", 1),
        ("O(CHW(H+W))", "HW", 3),
        ("O(CHW(H+W))", "W", 2),
        ("O(rCHW)", "r", 1),
        ("O(rCHW)", "k", 0),
        ("O(C·n²)", "HW", 4),
        ("O(C·n²)", "H", 2),
        ("O(n^2 C + n C^3)", "C", 3),
        ("O((C + 2n)²)", "H", 2),
        ("O(1)", "C", 0),
        ("", "C", None),
        ("O(n log n)", "H", None),
        ("O(C(H+W)", "H", None),
        ("O(C(H+)W)", "H", None),
        ("O(√n)", "H", None),
        ("O(C^)", "C", None),
    ],
)
def test_the_degree_of_a_claim(complexity: str, letters: str, degree: int | None) -> None:
    assert exponent(complexity, letters) == degree


def test_every_claim_of_the_catalogue_is_read() -> None:
    claimed = [spec.complexity for spec in SPECS.values() if spec.complexity]
    assert claimed
    assert all(exponent(text, "CHW") for text in claimed)


TERMS = st.recursive(
    st.sampled_from(["C", "H", "W", "n", "r", "7", "12"]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]} + {pair[1]})"),
        st.tuples(inner, st.integers(1, 3)).map(lambda pair: f"({pair[0]})^{pair[1]}"),
    ),
    max_leaves=8,
)


@given(TERMS, st.sets(st.sampled_from("CHWr"), min_size=1))
def test_the_degree_is_that_of_the_growth(term: str, letters: set[str]) -> None:
    """An oracle that has numbers: where a letter is 10,000 bits long, the degree is in the value's length."""
    sizes = {letter: 2**10_000 if letter in letters else 1 for letter in "CHWr"}
    sizes["n"] = sizes["H"] * sizes["W"]
    signs = re.sub(r"(?<=[A-Za-z0-9)])(?=[A-Za-z(])|(?<=[A-Za-z)])(?=\d)", "*", term).replace("^", "**")
    value = eval(signs, {"__builtins__": {}}, sizes)
    assert exponent(f"O({term})", letters) == (value.bit_length() - 1) // 10_000


@pytest.mark.parametrize(
    "text",
    [
        "O(C^99^9)",
        "O(__import__('os'))",
        "O(C.real)",
        "O(C^9^9^9)",
        "O(9^9^9^9)",
        "O(C**9)x=1",
        "O(" + 300 * "(",
        "O(C;H)",
    ],
)
def test_what_is_no_polynomial_is_never_run(text: str) -> None:
    assert exponent(text, "C") is None
