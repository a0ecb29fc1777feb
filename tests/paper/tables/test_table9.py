"""Table 9's sheet: verdicts and sentences that follow from the counts, and where runs are placed."""

from collections.abc import Sequence
from math import log
from typing import Any

import pytest
from paper.tables.test_table1_to_6 import own

from ctxbench.errors import UserError
from ctxbench.networks.counting import network_costs
from ctxbench.paper import printed
from ctxbench.paper.increments import Increment
from ctxbench.paper.own_runs import OwnRun
from ctxbench.paper.printed import plain_name
from ctxbench.paper.sheet import Sheet
from ctxbench.paper.tables import table9 as module
from ctxbench.paper.tables.table9 import table9
from ctxbench.table.grid import EMPTY
from ctxbench.table.terminal import plain

GMACS = {"deeplabv3plus": 80.0, "pspnet": 77.5, "danet": 110.0, "psanet": 90.0, "ccnet": 99.0, "emanet": 43.1}


def counted(gmacs: float) -> dict[int, Increment]:
    """An increment of so much at 512, and a little more at 513, all in convolutions."""
    counts = {512: round(gmacs * 1e9), 513: round(1.03 * gmacs * 1e9)}
    return {side: Increment(side, macs, 0, {}, 0, macs, 0, macs) for side, macs in counts.items()}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Table 9 of made-up counts; those of RecoNet are given."""

    def make(reconet: float = 42.0, runs: Sequence[OwnRun] = (), **asked: bool) -> Sheet:
        monkeypatch.setattr(module, "backbone_alone", lambda: counted(190.6 / 1.03))
        monkeypatch.setattr(module, "increments", lambda model: counted({**GMACS, "reconet": reconet}[model]))
        return table9(runs, source="here", **asked)

    return make


def test_each_printed_number_has_its_verdict(made: Any) -> None:
    frame = made().frame.set_index("method")
    assert frame.loc["PSPNet", "flops_verdict"] == "reproduced"
    assert frame.loc["PSPNet", "flops_decode"] == "Table 10's rule, at 512×512"
    assert frame.loc["ResNet-101", "flops_decode"].endswith("at 513×513")
    assert frame.loc["DANet", "flops_verdict"] == "not reproducible"
    assert "nearest 113.30 G (-3.4 %)" in frame.loc["DANet", "flops_reason"]


def test_a_fit_says_its_deviations_and_how_many_chance_would_give(made: Any) -> None:
    sheet = made()
    frame = sheet.frame.set_index("method")
    # two numbers, at 512 and 513; a random one prints as 77.5 with probability log(77.55 / 77.45) / log(4)
    chance = 2 * log(77.55 / 77.45) / log(4)
    assert frame.loc["PSPNet", "fits_by_chance"] == pytest.approx(chance)
    assert frame.loc["PSPNet", "deviations"] == 0
    assert frame.loc["DANet", ["deviations", "fits_by_chance"]].isna().all()
    note = next(note for note in sheet.grid.footnotes if note.startswith("PSPNet"))
    assert note.endswith(f"ways tried; 0 deviations, by chance {chance:.2g} fits.")
    assert "departure" not in " ".join([*frame.columns, *sheet.grid.footnotes, *sheet.grid.notes])
    assert not any("by chance" in note for note in sheet.grid.footnotes if note.startswith("DANet"))


def test_columns_of_one_heading_stand_side_by_side_and_csv_goes_size_by_size(made: Any) -> None:
    sheet = made(reconet=42.0701234)
    assert [(span.header, len(span.headings)) for span in sheet.grid.spans()] == [
        ("method", 1), ("FLOPs", 2), ("MACs, published", 2), ("MACs, fast", 2), ("Table 10's rule", 2),
        ("mIoU, SS", 2), ("mIoU, MS/Flip", 2),
    ]  # fmt: skip
    names = list(sheet.frame.columns)
    assert names.index("classifier_gmacs_512") < names.index("published_gmacs_513")
    assert names.index("rule_gflops_513") < names.index("flops_verdict")
    backbone, heads = sheet.grid.groups
    texts = [cell.text for cell in heads.rows[-1]]
    assert texts[:4] == ["RecoNet", "41.9", "not reproducible", "42.070"]
    assert texts[-4:] == ["81.40", EMPTY, "82.13", EMPTY]
    assert [(cell.text, cell.note) for cell in backbone.rows[0][-4:]] == [(EMPTY, 0)] * 4  # it has no score
    assert sheet.frame["published_gmacs_512"].iloc[-1] == 42.0701234  # 42.070 is for people
    assert str(sheet.frame["deviations"].dtype) == "Int64"


@pytest.mark.parametrize(("reconet", "order"), [(42.0, "less"), (44.0, "more")])
def test_the_order_is_computed(made: Any, reconet: float, order: str) -> None:
    text = " ".join(plain([made(reconet).grid]).split())
    assert f"RecoNet adds {reconet:.2f} G, {order} than the cheapest of the others, EMANet" in text


def test_sizes_that_fit_are_told_apart(made: Any) -> None:
    text = " ".join(plain([made().grid]).split())
    assert (
        "3 of 8 numbers fit some way to count, but not at one input size: PSPNet, EMANet at 512×512" in text
    )
    assert "Not reproducible: DeepLabV3+, DANet, PSANet, CCNet, RecoNet." in text


def test_without_a_run_the_scores_are_empty_with_the_reason(made: Any) -> None:
    sheet = made()
    heads = sheet.frame[sheet.frame["is_increment"]]
    assert set(heads["miou_ss_verdict"]) == {"not measured"}
    assert set(heads["miou_ms_flip_reason"]) == {"no evaluated run was given"}
    assert sheet.tally == (8, 0)  # its costs are measured
    assert any("ctxbench train" in note for note in sheet.grid.notes)


def test_a_run_stands_in_its_networks_row(made: Any) -> None:
    score = float(next(row["miou_ms_flip"] for row in printed.rows(9) if row["method"] == "RecoNet"))
    sheet = made(runs=[own("voc12", score, known_training=False)])
    frame = sheet.frame.set_index("method")
    assert frame.loc["RecoNet", "miou_ms_flip_pct"] == pytest.approx(score, abs=0.005)
    assert frame.loc["RecoNet", "miou_ms_flip_verdict"] == "differs"
    assert "training not known" in frame.loc["RecoNet", "miou_ms_flip_reason"]
    assert frame.loc["RecoNet", "miou_ss_verdict"] == "not measured"
    run_ss, _, run_ms = sheet.grid.groups[1].rows[-1][-3:]
    assert (run_ss.text, run_ms.text) == (EMPTY, f"{score:.2f}")
    assert sheet.grid.footnotes[run_ss.note - 1].startswith("mIoU not measured: none of the runs given is of")
    assert sheet.grid.footnotes[run_ms.note - 1].startswith("mIoU differs: ")
    assert frame.loc["EMANet", "miou_ms_flip_verdict"] == "not measured"
    assert frame.loc["EMANet", "miou_ms_flip_reason"].startswith("none of the runs given is of this network")


def test_a_run_is_said_to_be_evaluated_where_it_was(made: Any) -> None:
    machine = {"gpu": "A GPU", "torch": "9.9+cu"}
    run = own("voc12", 50.0, device="cuda", precision="bf16-mixed", environment=machine)
    sheet = made(runs=[run])
    on = "cuda (A GPU), bf16-mixed, torch 9.9+cu"
    assert sheet.frame.set_index("method").loc["RecoNet", "miou_ms_flip_evaluated_on"] == on
    assert any(note.endswith(f"; evaluated on {on}.") for note in sheet.grid.footnotes)


def test_runs_of_other_data_sets_are_not_said_to_be_none(made: Any) -> None:
    sheet = made(runs=[own("ade20k", 40.0)], skip_other_datasets=True)
    why = "of the runs given none is of voc12 or voc12aug"
    assert set(sheet.frame["miou_ss_reason"].dropna()) == {why}
    assert any(f"mIoU: not measured, {why}" in note for note in sheet.grid.notes)


def test_profile_says_of_every_network_what_the_sheet_says() -> None:
    sheet = table9(source="here")
    heads = sheet.frame[sheet.frame["is_increment"]].assign(model=lambda f: f["method"].map(plain_name))
    costs = network_costs(list(heads["model"]), sizes=[65])
    profiled = costs.to_frame()
    assert len(profiled) == 7
    for column in ("model", "printed_gflops", "flops_verdict"):
        assert list(profiled[column]) == list(heads[column])
    backbone, *networks = [note for note in sheet.grid.footnotes if " G: " in note]
    for note, profiled_note in zip(networks, costs.grids()[0].footnotes, strict=True):
        assert plain_name(note).startswith(plain_name(profiled_note).removesuffix("."))
    (finding,) = costs.grids()[0].findings
    decoding = finding.removeprefix("resnet101 alone, 190.6 G in Table 9: ").removesuffix(".")
    assert backbone.startswith(f"ResNet-101 190.6 G: {decoding};")


def test_a_run_of_another_data_set_is_refused_by_name(made: Any) -> None:
    with pytest.raises(UserError, match="ade20k"):
        made(runs=[own("ade20k", 40.0)])
