"""Whole tables of a 1×1 convolution, whose numbers are known in closed form: their rules, and the chances."""

from pathlib import Path
from statistics import mean

import pytest
from audit.blocks import C, H, W

from ctxbench.audit.auditing import audit
from ctxbench.audit.quantity import ROUNDED
from ctxbench.audit.rows import read_lines
from ctxbench.audit.sheet import Audit

BLOCK = f"{Path(__file__).with_name('blocks.py')}:Pointwise"
MACS = C * C
"""Of each position; the parameters too."""


def audited(*rows: str) -> Audit:
    header = "label,subject,flops,parameters,shape,verified\n"
    return audit(read_lines("table", [header, *(f"{row}\n" for row in rows)]))


def test_two_rules_in_one_table_are_told_each_with_its_chance() -> None:
    """Three rows are MACs, two are twice that, and one, from memory, is neither."""
    rows = [
        f"{factor}: {h}×{w},{BLOCK},{factor * MACS * h * w / 1e3:.3f}K,,1x{C}x{h}x{w},"
        for factor, sides in ((1, ((7, 23), (9, 11), (13, 17))), (2, ((19, 21), (12, 31))))
        for h, w in sides
    ]
    found = audited(*rows, f"slip,{BLOCK},77.712K,,1x{C}x{H}x{W},no")
    said = found.sentences()
    assert said[1].startswith("Most rows: 3 of 6 FLOPs are given by MACs of convolutions and matrix products")
    assert said[2].startswith("Others of its rows: 2 of 3 FLOPs are given by 2 per MAC of convolutions and")
    assert said[3] == "Two rules in one table."
    assert said[4].startswith("2: 19×21 breaks it: another rule: 2 per MAC of")
    assert said[6] == f"slip breaks it: off by {100 * (MACS * H * W / 77712 - 1):+.2g} % from it."
    assert "slip (unverified)" in found.markdown()
    share = mean(line.finding.quantity.share(ROUNDED) for line in found.lines[3:])
    tried = found.rules[1].chance / (3 * share**2 * (1 - share) + share**3)
    assert tried == pytest.approx(round(tried))
    assert tried >= 2


def test_that_there_was_a_choice_is_part_of_the_chance() -> None:
    """What surely says of which configuration a row is gives a second choice; 0.3K parameters say nothing."""
    parameters = ("", f"{MACS}", "0.3K")
    found = audited(*(f"of {p},{BLOCK},{MACS * H * W / 1e3:.3f}K,{p},1x{C}x{H}x{W}," for p in parameters))
    alone, sure, unsure = (
        line.finding.chance for line in found.lines if line.finding.quantity.kind == "FLOPs"
    )
    assert alone is not None
    assert sure == pytest.approx(2 * alone)
    assert unsure == pytest.approx(alone)


def test_a_deviation_that_fails_is_not_held_against_the_rule() -> None:
    """The last row's block takes W columns alone, and neither one more nor one less."""
    rows = [f"{w},{BLOCK},{MACS * H * w / 1e3:.3f}K,,1x{C}x{H}x{w}," for w in (11, W)]
    fails = BLOCK.replace("Pointwise", "Fails")
    found = audited(*rows, f"fails,{fails},77.712K,,1x{C}x{H}x{W},")
    assert found.sentences()[-1].startswith("fails breaks it: ")
