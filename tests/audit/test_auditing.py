"""Whole tables of a 1×1 convolution, whose numbers are known in closed form: their rules, and the chances."""

from pathlib import Path
from statistics import mean

import pytest
from audit.blocks import C, H, W

from ctxbench.audit.auditing import audit
from ctxbench.audit.counting.aspects import FLOPS
from ctxbench.audit.counting.conventions import Conventions
from ctxbench.audit.quantity import ROUNDED
from ctxbench.audit.rows import read_lines
from ctxbench.audit.runs import runs
from ctxbench.audit.search import Search
from ctxbench.audit.sheet import Audit

BLOCK = f"{Path(__file__).with_name('blocks.py')}:Pointwise"
MACS = C * C
"""Of each position; the parameters too."""


SIDES = ((7, 23), (9, 11), (13, 17), (19, 21))


def small(h: int, w: int) -> int:
    """MACs of Small."""
    return 2 * C * h * w * (C + w + 3)


def audited(*rows: str, header: str = "label,subject,flops,parameters,shape,verified") -> Audit:
    header += "\n"
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


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        (
            "226.30K",
            "the same rule for another input or configuration, 4.0 times as much: input 26×34",
        ),
        ("56.57K", "the same rule, cut off, not rounded"),
        ("113.15K", "another rule: 2 per MAC of convolutions and matrix products (K = 10³)"),
    ],
)
def test_what_the_odd_row_of_a_table_has_instead_is_told(odd: str, why: str) -> None:
    printed = [f"{MACS * h * w / 1e3:.2f}K" if (h, w) != (13, 17) else odd for h, w in SIDES]
    rows = [f"{h}×{w},{BLOCK},{p},,1x{C}x{h}x{w}," for p, (h, w) in zip(printed, SIDES, strict=True)]
    said = audited(*rows).sentences()
    assert said[1].startswith("Most rows: 3 of 4 FLOPs are given by MACs of convolutions")
    assert said[2:] == [f"13×17 breaks it: {why}."]


def test_that_every_row_is_of_another_input_is_told() -> None:
    counts = ((BLOCK, MACS * 64**2), (BLOCK.replace("Pointwise", "Small"), small(64, 64)))
    rows = [f"{name},{name},{macs / 1e6:.3f}M,,1x{C}x60x60," for name, macs in counts]
    found = audited(*rows)
    assert [line.finding.verdict for line in found.lines] == ["misleading"] * 2
    assert (
        "2 of 2 FLOPs are given by MACs of convolutions and matrix products, for an input of 64×64"
        in (found.sentences()[1])
    )
    assert [line.uniform for line in found.lines] == ["1.049 M", "10.879 M"]


def test_a_row_of_another_input_than_its_neighbours_is_told() -> None:
    """No row says its input; each is as likely as the others, but one is not that of the table."""
    header = "label,subject,flops,channels"
    rows = [f"{n},{BLOCK},{MACS * n * n / 1e6:.3f}M,{C}" for n in (64, 97, 64, 64)]
    found = audited(*rows, header=header)
    assert {line.finding.factor for line in found.lines} == {1.0}
    assert found.sentences()[2:] == [
        f"97 breaks it: the same rule for another input or configuration, {97**2 / 64**2:.1f} times as much: "
        "the single form, 97×97."
    ]
    assert found.lines[1].uniform == "1.049 M"


def test_rows_of_few_digits_are_by_the_rule_that_the_others_show() -> None:
    """1.0 M is what 61×61 would give, one step from the 60×60 that the row says; the others are of 64×64."""
    counts = ((BLOCK, MACS * 64**2, 1), (BLOCK.replace("Pointwise", "Small"), small(64, 64), 3))
    few, *others = (f"{n},{name},{macs / 1e6:.{n}f}M,,1x{C}x60x60," for name, macs, n in counts)
    (alone,), (beside, *_) = audited(few).lines, audited(few, *others, *others).lines
    assert alone.finding.configuration.startswith("input 61×61")
    assert beside.finding.configuration.startswith("input 64×64")
    assert beside.finding.verdict == "misleading"


def test_of_another_input_a_fit_is_sure_or_the_near_miss_is_it() -> None:
    """9.5 M is what 61×61 would give, by a chance of 1 in 16; 60×60 gives 9.1 M, and 9.526 M is sure."""
    block = BLOCK.replace("Pointwise", "Small")
    near, sure = audited(*(f"{n},{block},{n}M,,1x{C}x60x60," for n in ("9.5", "9.526"))).lines
    assert near.finding.verdict == "near"
    assert sure.finding.configuration.startswith("input 61×61")


@pytest.mark.parametrize(
    ("odd", "verdict"),
    [
        ("55K", "near"),  # in units of 1024, where the MACs are 56.4 K
        ("60K", "could be anything"),  # with norms
        ("56K", "reproduced"),
    ],
)
def test_beside_rows_of_one_rule_another_rule_is_to_be_sure(odd: str, verdict: str) -> None:
    block = BLOCK.replace("Pointwise", "Small")
    row = f"odd,{block},{odd},,1x{C}x7x9,"
    rows = [f"{h}×{w},{block},{small(h, w) / 1e3:.2f}K,,1x{C}x{h}x{w}," for h, w in SIDES[:3]]
    (alone,), (*_, beside) = audited(row).lines, audited(*rows, row).lines
    assert alone.finding.verdict == "reproduced"
    assert beside.finding.verdict == verdict


def test_few_rows_are_not_called_most() -> None:
    rows = [f"{h}×{w},{BLOCK},{MACS * h * w / 1e3:.3f}K,,1x{C}x{h}x{w}," for h, w in SIDES[:2]]
    odd = [f"{n},{BLOCK},{n}K,,1x{C}x13x17," for n in (61.234, 77.777, 93.456)]
    assert audited(*rows, *odd).sentences()[1].startswith("The most rows that one rule gives: 2 of 5 FLOPs")


def test_a_rule_that_counts_2_per_mac_is_not_doubled() -> None:
    """Twice the leaf rule would be four for each MAC of a product."""
    run = next(runs(BLOCK.replace("Pointwise", "Small"), (1, C, 13, 17), {}))
    doubled = [
        found[which].treatments["products"]
        for seen in Search().seen_by_view(run).values()
        for found in [Conventions(FLOPS, seen)]
        for which in found.of_macs
    ]
    assert doubled
    assert not any("2 per MAC" in words for words in doubled)


def test_a_counters_macs_may_be_doubled() -> None:
    block, count = BLOCK.replace("Pointwise", "Small"), 2 * (small(13, 17) + 2 * 2 * C * 13 * 17)
    (line,) = audited(f"twice,{block},{count / 1e3}K,,1x{C}x13x17,").lines
    assert line.finding.verdict == "reproduced"
    assert line.finding.convention.startswith(
        "2 times: MACs of convolutions and matrix products + 2 per element"
    )
