import pytest

from ctxbench.report.order import exponent
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
