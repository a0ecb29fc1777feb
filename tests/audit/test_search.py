"""A module's printed number is decoded: what was put in comes out, from a user's file, and in sentences."""

from math import log
from pathlib import Path

import pytest
from audit.blocks import CONV, OUT, PRODUCTS, C, H, W

from ctxbench.audit import runs
from ctxbench.audit.quantity import CUT
from ctxbench.audit.runs import LAST_CALL, OPERATIONS
from ctxbench.audit.search import decode
from ctxbench.errors import UserError

BLOCKS = Path(__file__).with_name("blocks.py")
SMALL, FAILS, POINTWISE = (f"{BLOCKS}:{name}" for name in ("Small", "Fails", "Pointwise"))
SHAPE = (1, C, H, W)

CCNET_SHAPE = (1, 512, 97, 97)
"""CCNet's table (ICCV 2019) is for 769×769 images at output stride 8."""


@pytest.fixture
def one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other batches, which would each cost three passes."""
    monkeypatch.setattr(runs, "BATCHES", ())


@pytest.mark.usefixtures("one_batch")
@pytest.mark.parametrize(("module", "printed"), [("rcca", "16.5G"), ("ctxbench_modules.danet:PAM", "108G")])
def test_ccnets_own_numbers_are_two_per_mac_of_every_call(module: str, printed: str) -> None:
    fit = decode(module, printed, shape=CCNET_SHAPE).outcomes["FLOPs"].fits[0]
    assert fit.candidates[0].words == "2 per MAC of convolutions and matrix products (G = 10⁹)"
    assert fit.view == OPERATIONS
    assert fit.run.startswith("the published form")


def test_a_convention_put_in_comes_out_with_its_deviations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "BATCHES", (2,))
    value = 2 * (CONV + PRODUCTS[1]) + OUT
    outcome = decode(SMALL, f"{value / 1e3}K", shape=SHAPE).outcomes["FLOPs"]
    fit = next(fit for fit in outcome.fits if fit.view == LAST_CALL)
    assert fit.deviations == 4
    assert fit.candidates[0].words.startswith("2 per MAC of convolutions and matrix products + 1 per ")
    assert fit.candidates[0].n_equivalent > 0, "there are as many biased outputs as elements of the ReLU"
    larger = 2 * C * C * (H + 1) * (W + 1)
    wider = decode(SMALL, f"{larger / 1e3}K", shape=SHAPE).outcomes["FLOPs"]
    assert any(fit.run == f"input {H + 1}×{W + 1}" for fit in wider.fits)


@pytest.mark.usefixtures("one_batch")
def test_a_number_that_was_cut_off_is_found() -> None:
    """216.384 K are the plain MACs: rounded they print as 216.4, cut off as 216.3."""
    fit = decode(SMALL, "216.3K", shape=SHAPE).outcomes["FLOPs"].fits[0]
    assert (fit.printing, fit.deviations) == (CUT, 1)
    assert fit.candidates[0].value == (CONV + sum(PRODUCTS)) / 1e3


@pytest.mark.usefixtures("one_batch")
@pytest.mark.parametrize("printed", ["215K", "217K", "1.2M"])
def test_the_plain_count_is_told_whatever_else_fits(printed: str) -> None:
    outcome = decode(SMALL, printed, shape=SHAPE).outcomes["FLOPs"]
    plain = outcome.near_misses[-1]
    assert plain.deviations == 0
    assert plain.candidates[0].words == "MACs of convolutions and matrix products " + (
        "(K = 10³)" if printed.endswith("K") else "(M = 10⁶)"
    )
    assert plain.run == "the single form"


@pytest.mark.usefixtures("one_batch")
def test_chance_grows_with_deviations_and_shrinks_with_digits() -> None:
    value = (CONV + sum(PRODUCTS)) / 1e3
    few, many = (
        decode(SMALL, f"{text}K", shape=SHAPE).outcomes["FLOPs"].fits
        for text in (f"{value:.0f}", f"{value:.3f}")
    )
    chances = [fit.by_chance for fit in few]
    assert chances == sorted(chances)
    assert few[0].deviations == many[0].deviations == 0
    assert few[0].by_chance > 50 * many[0].by_chance
    assert len(many) < len(few)


@pytest.mark.usefixtures("one_batch")
def test_the_frame_has_every_fit_and_near_miss() -> None:
    decoding = decode(SMALL, "98.7654321M", "1.7MiB", shape=SHAPE)
    frame = decoding.to_frame()
    assert not frame["fits"].any()
    assert list(frame["kind"].unique()) == ["both", "FLOPs", "memory"]
    assert frame["expected_by_chance"].isna().all()
    assert frame["printing"].isna().all()
    alone = frame[frame["kind"] == "FLOPs"]
    assert alone["log_distance"].is_monotonic_increasing
    assert (alone["flops_error"] == alone["flops_m"] / 98.7654321 - 1).all()


def test_a_deviation_that_fails_is_told_and_the_run_asked_for_is_an_error() -> None:
    decoding = decode(FAILS, "1.5M", shape=SHAPE)
    assert [reason.partition(" (")[0] for reason in decoding.not_tried] == [
        f"input {H + 1}×{W + 1}",
        f"input {H - 1}×{W - 1}",
    ]
    assert "so many columns, please" in str(decoding)
    with pytest.raises(UserError, match="so many columns, please"):
        decode(FAILS, "1.5M", shape=(1, C, H, W + 1))


def test_a_users_file_is_decoded_in_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    """A 1×1 convolution of 16 to 16 channels at 7×23 has 41,216 MACs, and 82,432 FLOPs at 2 for each.

    By chance: 41.2, 82.4 and, at 8×24, 49.2 are within a factor of two and take one deviation or none. Of
    random numbers 0.1 / 82.4 / ln 4 round to 82.4; half as many more would fit 41.2, were they cut off to it.
    """
    monkeypatch.setattr(runs, "BATCHES", (2,))
    assert f"{3.5 * 0.1 / 82.4 / log(4):.2g}" == "0.0031"
    assert str(decode(POINTWISE, "82.4K", shape=SHAPE)) == (
        f"""{POINTWISE}, input 1×16×7×23: what 82.4 K may count
Runs: the single form; input 8×24; input 6×22; batch 2.

82.4 K: fits 1 of 14 conventions with different numbers
  1. 82.4320 K (1 deviation; 0.0031 expected by chance)
     2 per MAC of convolutions and matrix products (K = 10³)
     every operation is seen, functional ones too
     the single form
  Plainer, but with other digits:
  – 41.2160 K (-50 %; 0 deviations)
     MACs of convolutions and matrix products (K = 10³)
     every operation is seen, functional ones too
     the single form
Bound: channels=16; input N C H W.
"""
    )


@pytest.mark.usefixtures("one_batch")
@pytest.mark.parametrize("printed", ["99999999999999999999G", "41.2T", "0.000001K"])
def test_a_number_that_nothing_comes_near_is_refused_with_what_is_nearest(printed: str) -> None:
    with pytest.raises(UserError) as refused:
        decode(POINTWISE, printed, shape=SHAPE)
    (line,) = str(refused.value).splitlines()
    assert "over 1000 times off from all that can be counted on an input of 1×16×7×23" in line
    assert "the nearest is" in line
    assert line.endswith("give the number's unit, and the input's channels and size, as they are in print")


@pytest.mark.parametrize("shape", [(0, 8, 4, 4), (1, 8, -3, 4)])
def test_an_input_that_holds_nothing_is_refused(shape: tuple[int, int, int, int]) -> None:
    with pytest.raises(UserError, match="at least one element"):
        decode("nonlocal", "1G", shape=shape)


@pytest.mark.parametrize("printed", [(), ("1G", "2G"), ("1MB", "2MB"), ("1G", "1MB", "2MB")])
def test_numbers_of_one_kind_are_refused(printed: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match="one of each"):
        decode("nonlocal", *printed)
