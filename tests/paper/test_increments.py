"""What heads cost against closed forms worked by hand, and the search for a printed number's counting."""

from collections.abc import Mapping

import pytest

from ctxbench.paper.increments import Decode, Increment, Reading, backbone_alone, decode, increments

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


def test_the_printed_emanet_fits_plain_macs_at_513(emanet: Mapping[int, Increment]) -> None:
    found = decode("43.1", emanet)
    assert found.fitting[0].words == "MACs, at 513×513"
    assert str(found).startswith("MACs, at 513×513; 2 of ")


def test_a_number_that_nothing_gives_names_the_nearest(emanet: Mapping[int, Increment]) -> None:
    found = decode("50.0", emanet)
    assert not found.fitting
    assert str(found).startswith("none of 16 ways tried; nearest ")
    assert found.nearest.gflops == max(reading.gflops for reading in found.tried)


def test_bilinear_flops_are_counted_where_the_head_resizes() -> None:
    found = increments("pspnet")
    assert found[512].bilinear_flops == 11 * 4 * 512 * 64 * 64  # four pooled maps of 512 channels
    assert decode("77.5", found).fitting[0].words == (
        "MACs, 11 per element of a bilinear resizing, at 512×512"
    )


def test_the_backbone_fits_the_papers_own_rule() -> None:
    found = backbone_alone()
    assert found[512].macs == pytest.approx(184.33e9, abs=0.005e9)
    assert found[513].macs == pytest.approx(189.889e9, abs=0.0005e9)
    assert [reading.words for reading in decode("190.6", found).fitting] == ["Table 10's rule, at 513×513"]


def test_every_part_is_counted_every_way() -> None:
    head = Increment(8, 10, 1, {"a": 2, "b": 4}, 55, 7, 3, 0)
    values = {reading.words: reading.gflops * 1e9 for reading in head.readings()}
    assert len(values) == 2 * (1 + 3 * 3 * 2)
    assert values["MACs, at 8×8"] == pytest.approx(16)
    assert values["Table 10's rule, no classifier, at 8×8"] == pytest.approx(4)
    said = "MACs, matrix products of a twice, matrix products of b not at all, no classifier"
    assert values[f"{said}, at 8×8"] == pytest.approx(10 - 1 + 2 * 2)
    assert values[f"{said}, 11 per element of a bilinear resizing, at 8×8"] == pytest.approx(13 + 11 * 5)


def test_the_plainest_way_comes_first() -> None:
    head = Increment(8, 10**10, 0, {"a": 0}, 0, 10**10, 0, 0)
    found = decode("10.0", {8: head})
    assert [reading.departures for reading in found.fitting] == [0, 0, 1, 1]
    assert found.fitting[0].words == "Table 10's rule, at 8×8"


def test_digits_decide_what_fits() -> None:
    found = Decode("1.20", (Reading("near", 0, 1.206), Reading("exact", 1, 1.1951)))
    assert [reading.words for reading in found.fitting] == ["exact"]
