"""What heads cost against closed forms worked by hand, and the search for a printed number's counting."""

from collections.abc import Mapping

import pytest

from ctxbench.audit.candidates import Candidate
from ctxbench.paper.increments import Decode, Increment, backbone_alone, decode, increments, ways_to_count

C, CLASSES = 512, 21
SIDES = {512: 64, 513: 65}


@pytest.fixture(scope="module")
def emanet() -> Mapping[int, Increment]:
    return increments("emanet")


@pytest.mark.parametrize("side", SIDES)
def test_emanet_in_published_form_is_its_closed_form(emanet: Mapping[int, Increment], side: int) -> None:
    positions = SIDES[side] ** 2
    convolutions = positions * (9 * 2048 * C + 2 * C * C + C * CLASSES)
    products = 7 * positions * C * 64  # three iterations of two, and the reconstruction
    found = emanet[side]
    assert found.macs == convolutions + products
    assert found.products_macs == {"context": products}
    assert found.classifier_macs == positions * C * CLASSES
    assert found.fast_macs < found.macs


def words(decoded: Decode) -> list[str]:
    return [fit.candidates[0].words for fit in decoded.fits]


def test_the_printed_emanet_fits_plain_macs_at_513(emanet: Mapping[int, Increment]) -> None:
    decoded = decode("43.1", emanet)
    assert words(decoded)[0] == "MACs, at 513×513"
    assert str(decoded).startswith("MACs, at 513×513; 2 of ")


def test_a_number_that_nothing_gives_names_the_nearest(emanet: Mapping[int, Increment]) -> None:
    decoded = decode("50.0", emanet)
    assert not decoded.fits
    assert str(decoded).startswith("none of 16 ways tried; nearest ")
    assert decoded.best.candidates[0].value == max(way.value for way in decoded.tried)


def test_bilinear_flops_are_counted_where_the_head_resizes() -> None:
    pspnet = increments("pspnet")
    assert pspnet[512].bilinear_flops == 11 * 4 * 512 * 64 * 64  # four pooled maps of 512 channels
    assert words(decode("77.5", pspnet))[0] == "MACs, 11 per element of a bilinear resizing, at 512×512"


def test_the_backbone_fits_the_papers_own_rule() -> None:
    alone = backbone_alone()
    assert alone[512].macs == pytest.approx(184.33e9, abs=0.005e9)
    assert alone[513].macs == pytest.approx(189.889e9, abs=0.0005e9)
    assert words(decode("190.6", alone)) == ["Table 10's rule, at 513×513"]


def test_every_part_is_counted_every_way() -> None:
    head = Increment(8, 10, 1, {"a": 2, "b": 4}, 55, 7, 3, 0)
    values = {way.words: way.value * 1e9 for way in ways_to_count(head)}
    assert len(values) == 2 * (1 + 3 * 3 * 2)
    assert values["MACs, at 8×8"] == pytest.approx(16)
    assert values["Table 10's rule, no classifier, at 8×8"] == pytest.approx(4)
    said = "MACs, matrix products of a twice, matrix products of b not at all, no classifier"
    assert values[f"{said}, at 8×8"] == pytest.approx(10 - 1 + 2 * 2)
    assert values[f"{said}, 11 per element of a bilinear resizing, at 8×8"] == pytest.approx(13 + 11 * 5)


def test_the_leaf_rule_comes_first_of_the_plainest_and_stands_for_all_of_one_value() -> None:
    decoded = decode("10.0", {8: Increment(8, 10**10, 0, {"a": 0}, 0, 10**10, 0, 0)})
    assert words(decoded) == ["Table 10's rule, at 8×8"]
    assert decoded.best.deviations == 0
    assert str(decoded) == "Table 10's rule, at 8×8; 4 of 4 ways tried"


def test_digits_decide_what_fits_and_are_not_cut_off() -> None:
    decoded = Decode("1.20", (Candidate(1.206, "near", 0), Candidate(1.1951, "exact", 1)))
    assert words(decoded) == ["exact"]


def test_nearest_is_by_ratio() -> None:
    """65.3 is 25.2 away and 15.5 only 24.6, but 65.3 is nearer: a factor of 1.63 against 2.59."""
    decoded = Decode("40.1", (Candidate(15.5, "further", 0), Candidate(65.3, "nearer", 0)))
    assert str(decoded) == "none of 2 ways tried; nearest 65.30 G (+63 %): nearer"
