"""The verb decode as a user types it."""

import csv
import gc
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from audit.blocks import C, H, W

from ctxbench import api
from ctxbench.errors import UserError

Run = Callable[..., int]
Refused = Callable[..., str]

SMALL = ("--channels", "8", "--size", "6x5")

BLOCKS = Path(__file__).parents[1] / "audit" / "blocks.py"
OF_BLOCKS = ("--channels", str(C), "--size", f"{H}x{W}")


def test_decode_prints_the_fits(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    macs = 2 * 8 * 8 * 30 + 7 * 8 * 4 * 30
    assert run("decode", "emau", f"{macs / 1000}K", *SMALL, "-o", "bases=4") == 0
    told = capsys.readouterr().out
    assert "MACs of convolutions and matrix products (K = 10³)" in told
    assert "0 deviations" in told
    assert "the published form with bases=4" in told


def test_collections_are_as_before_when_it_is_done(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    before, meanwhile = gc.get_threshold(), []

    def refused(*_: object, **__: object) -> None:
        meanwhile.append(gc.get_threshold())
        raise UserError("nothing")

    monkeypatch.setattr(api, "decode", refused)
    assert run("decode", "emau", "0.01M") == 2
    assert gc.get_threshold() == before != meanwhile[0]


def test_decode_exports_every_fit(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("decode", "emau", "0.01M", "0.1MB", *SMALL, "--csv", "-") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {row["kind"] for row in rows} == {"both", "FLOPs", "memory"}


def test_decode_of_a_users_file_finds_a_number_that_was_cut_off(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """The plain MACs are 216.384 K, which round to 216.4."""
    assert run("decode", f"{BLOCKS}:Small", "216.3K", *OF_BLOCKS) == 0
    assert "1. 216.384 K (1 deviation; cut off, not rounded;" in capsys.readouterr().out


def test_decode_of_a_users_file_tells_the_plain_count_beside_fits_by_chance(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("decode", f"{BLOCKS}:Small", "215K", *OF_BLOCKS) == 0
    told = capsys.readouterr().out
    assert told.index("216.384 K (+0.64 %; 0 deviations)") < told.index(
        "1. 215.040 K (5 deviations; 1.1 expected"
    )
    assert "expected by chance, so may be chance)" in told


def test_decode_tells_the_nearest_by_ratio_first(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """At most 82 K without the products, a third of what is printed, and with them 557 K, twice as much."""
    assert run("decode", f"{BLOCKS}:Affinity", "250K", *OF_BLOCKS) == 0
    nearest = next(re.finditer(r"^  (?:1\.|–) (\S+) K", capsys.readouterr().out, re.MULTILINE))
    assert 250 < float(nearest[1]) < 600


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("decode", "emau", "19.33"), "no printed number with a unit"),
        (("decode", "emau", "99999999999999999999G", *SMALL), "over 1000 times off from all that can be"),
        (("decode", "emua", "1G"), "did you mean emau"),
        (("decode", "emau", "1G", "--size", "3x"), "takes 64 or 64x48 (H x W), not '3x'"),
    ],
)
def test_nonsense_is_one_line_and_code_2(refused: Refused, arguments: tuple[str, ...], why: str) -> None:
    assert why in refused(*arguments)


def test_a_head_is_decoded_as_its_block_is(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """A 3×3 of 24 to 8 channels, and SE with one unit: 9·24·8 MACs at 6×5 positions, and 2·8·1."""
    assert run("decode", "head(C, 8, se)", "51.856K", "--channels", "24", "--size", "6x5") == 0
    told = capsys.readouterr().out
    assert "1. 51.8560 K (0 deviations" in told
    assert "head(C, 8, 'se')" in told


def test_parameters_and_what_is_not_known_are_decoded(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Non-Local of 16 channels and width 4, without its norm: three biased 1×1 to 4, and one back to 16."""
    macs, parameters = 4 * 16 * 4 * H * W + 2 * 4 * (H * W) ** 2, 3 * (16 * 4 + 4) + 4 * 16 + 16
    subject = "nonlocal(C, width=?, norm=False)"
    assert run("decode", subject, f"{macs / 1e3}K", f"{parameters}params", *OF_BLOCKS) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "by one convention: fits" in told
    assert "the published form of nonlocal(C, width=C // 4, norm=False)" in told
    assert "every parameter (as it stands)" in told
