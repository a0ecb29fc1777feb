"""The ledger's verdicts: each turns with the numbers in the frames it is held against."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ctxbench.paper import printed
from ctxbench.paper.claims import ANSWERS
from ctxbench.paper.ledger import Claim, ledger, ledger_sheet
from ctxbench.paper.sheet import VERDICTS, Sheet
from ctxbench.paper.tables import growth as growing
from ctxbench.paper.tables.growth import growth
from ctxbench.report.growth import TOWARDS, Growth
from ctxbench.subject.case import Case
from ctxbench.table.grid import Grid

MODULES = {"nonlocal": (19.33, 10.7), "a2net": (4.30, 3.2), "reconet": (0.0215, 0.15)}


def table10(**changed: dict[str, float]) -> Sheet:
    rows = {
        module: {
            "module": module,
            "channels": 512,
            "height": 64,
            "width": 64,
            "config": "rank=64" if module == "reconet" else "",
            "printed_gflops": str(printed),
            "published_gmacs": macs,
            "fast_gmacs": macs,
            "printed_mib": "8.31",
            "paper_mib": 8.3125,
            "published_peak_pred_mib": 528.0 if module == "reconet" else 100.0,
            "fast_peak_pred_mib": 9.3 if module == "reconet" else 50.0,
        }
        | changed.get(module, {})
        for module, (printed, macs) in MODULES.items()
    }
    return Sheet("table10", "", Grid("", []), pd.DataFrame(rows.values()), "")


def table9(**gmacs: float) -> Sheet:
    known = {"ResNet-101": 184.0, "PSPNet": 77.0, "DeepLabV3+": 83.0, "DANet": 110.0, "PSANet": 94.0}
    known |= {"CCNet": 100.0, "EMANet": 41.8, "RecoNet": 42.1} | gmacs
    frame = pd.DataFrame(
        {
            "method": method,
            "printed_gflops": f"{value:.1f}",
            "published_gmacs_512": value,
            "flops_decode": f"counting of {method}",
            "flops_verdict": "reproduced",
        }
        for method, value in known.items()
    )
    return Sheet("table9", "", Grid("", []), frame, "")


def claim(about: str, *sheets: Sheet) -> Claim:
    return next(found for found in ledger(sheets) if about in found.words)


@pytest.mark.parametrize(("macs", "verdict"), [(0.15, "differs"), (0.0119, "reproduced"), (0.01, "differs")])
def test_about_900_times(macs: float, verdict: str) -> None:
    found = claim("900 times", table10(reconet={"published_gmacs": macs}))
    assert found.verdict == verdict
    assert found.printed == "899×"
    assert float(found.measured.partition("×")[0]) == pytest.approx(10.7 / macs, rel=0.005)


@pytest.mark.parametrize(("macs", "verdict"), [(0.15, "differs"), (0.031, "reproduced")])
def test_more_than_100_times(macs: float, verdict: str) -> None:
    sheet = table10(reconet={"published_gmacs": macs})
    assert claim("100 times less FLOPs", sheet).verdict == verdict
    assert claim("100 times less computational cost", sheet).verdict == verdict


def test_the_lowest_overhead_is_of_arithmetic_and_memory_is_told() -> None:
    found = claim("lowest computational overhead", table10())
    assert found.verdict == "reproduced"
    assert found.reason == "in arithmetic; in memory its published form takes the most"
    assert claim("lowest", table10(a2net={"published_gmacs": 0.1})).verdict == "differs"


@pytest.mark.parametrize(("macs", "verdict"), [(0.15, "differs"), (0.03, "reproduced")])
def test_negligible_is_under_one_percent(macs: float, verdict: str) -> None:
    found = claim("neglegible", table10(reconet={"published_gmacs": macs}))
    assert (found.printed, found.verdict) == ("0.111 to 0.500 % of theirs", verdict)


def test_the_efficient_blocks_take_less_of_both_than_non_local() -> None:
    def found(**changed: float) -> Claim:
        sheet = table10(a2net={"published_peak_pred_mib": 50.0} | changed)
        (a2net,) = sheet.frame[sheet.frame["module"] == "a2net"].to_dict("records")
        more = pd.DataFrame([{**a2net, "module": module} for module in ("emau", "rcca")])
        return claim("EMANet, CCNet", replace(sheet, frame=pd.concat([sheet.frame, more])))

    cheaper = found(fast_gmacs=2.0, fast_peak_pred_mib=20.0)
    assert cheaper.measured == (
        "0.299× the MACs, 0.500× the memory of Non-Local (published forms); "
        "0.187× the MACs, 0.400× the memory of Non-Local (fast forms)"
    )
    assert cheaper.convention.endswith("at 1×512×64×64, as Table 10 configures them")
    assert "in the fast forms" not in cheaper.reason
    dearer = found(fast_peak_pred_mib=91.0)
    assert (cheaper.verdict, dearer.verdict) == ("reproduced", "reproduced")
    assert "in the fast forms EMANet takes 1.82 times the memory of Non-Local, CCNet" in dearer.reason
    assert found(published_gmacs=11.0).verdict == "differs"
    assert found(published_peak_pred_mib=101.0).verdict == "differs"


def test_the_order_of_sizes_is_that_of_the_shape() -> None:
    found = claim("CHW >>", table10())
    assert found.reason == "CHW is 8.0 times C²; ≫ is taken to be more than 5 times"
    assert claim("CHW >>", table10(reconet={"width": 8})).verdict == "differs"
    sides = [{"height": side, "width": side} for side in (50, 51)]  # CHW is 4.9 and 5.1 times C²
    assert [claim("CHW >>", table10(reconet=side)).verdict for side in sides] == ["differs", "reproduced"]


def test_printed_memory_is_no_peak() -> None:
    found = claim("GPU Memory", table10())
    assert (found.printed, found.verdict) == ("8.31 MB", "differs")
    assert found.measured == "528.0 MiB (published form), 9.300 MiB (fast form)"
    assert found.convention.endswith("at 1×512×64×64, rank 64; the printed MB is 2²⁰ bytes")
    assert claim("GPU Memory", table10(reconet={"published_peak_pred_mib": 8.3125})).verdict == "reproduced"


def test_networks_are_compared_at_one_size() -> None:
    found = [claim("relatively small cost", table9(RecoNet=g)) for g in (41.0, 42.1, 45.9, 46.1)]
    assert [each.verdict for each in found] == ["reproduced"] * 3 + ["differs"]
    assert [each.reason.rpartition("it is ")[2] for each in found] == [
        "1.9 % below EMANet", "0.72 % above EMANet", "9.8 % above EMANet", "10 % above EMANet"
    ]  # fmt: skip
    assert all("relatively small is taken to be less than 10 % above" in each.reason for each in found)
    surpass = claim("surpass", table9())
    assert (surpass.verdict, surpass.convention.rpartition(", ")[2]) == ("reproduced", "at 1×3×512×512")
    assert surpass.reason.startswith("of FLOPs alone, mIoU not measured")
    assert claim("surpass", table9(PSPNet=42.0)).verdict == "differs"
    assert claim("whole model", table9()).measured == "0.999 to 1.30×"


def test_where_the_order_is_not_the_printed_one_it_is_said_what_was_counted() -> None:
    sheet = table9()
    assert "fits" not in claim("relatively small cost", sheet).reason
    printed = sheet.frame["printed_gflops"].where(sheet.frame["method"] != "EMANet", "43.1")
    turned = replace(sheet, frame=sheet.frame.assign(printed_gflops=printed))
    assert "EMANet's printed number fits counting of EMANet" in claim("relatively small", turned).reason


def test_an_order_that_drifts_to_the_claim_must_come_near_it() -> None:
    def judged(last: float) -> str:
        n = (10.0, 100.0, 1000.0)
        y = (1.0, 10.0**0.1, 10.0 ** (0.1 + last))  # a slope of 0.1, and then the last
        slope = (0.1 + last) / 2
        case = Case("nonlocal", 512, 64, 64)
        found = Growth(case, "gmacs", n, y, 2.0, slope, slope - 0.01, slope + 0.01, last)
        assert found.verdict == TOWARDS
        row = growing._order("size", found)
        assert row.reason.endswith("more than 0.1 from the claim") == (row.verdict == "differs")
        return row.verdict

    assert [judged(last) for last in (0.3, 1.85, 1.95)] == ["differs", "differs", "reproduced"]


def test_orders_and_rank_come_from_the_growth_sheet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growing, "SIZES", (32, 64, 128))
    monkeypatch.setattr(growing, "CHANNELS", (16, 32, 64))
    monkeypatch.setattr(growing, "PAPER_SHAPE", (1, 96, 16, 16))
    monkeypatch.setattr(growing, "RANK", 4)
    sheet = growth(source="here")
    frame = sheet.frame
    assert len(sheet.grid.groups[0].rows) == len(frame)
    assert frame["exponent"].notna().sum() == 5
    stages = frame.set_index("subject").loc[["TGM, one rank", "TRM, one rank"]]
    assert stages.loc["TGM, one rank", ["ratio_lo", "ratio_hi"]].tolist() == [1, 1]
    assert stages.loc["TRM, one rank", "ratio_hi"] == pytest.approx(1 + 1 / 32)
    assert claim("O(C²+H²+W²)", sheet).verdict == "reproduced"
    assert claim("O(rCHW)", sheet).measured.count("claimed 1") == 3
    assert claim("O(rCHW)", sheet).convention.endswith(
        "fast form; n: 1024 to 16384, at C 96, rank 64; C: 16 to 64, at 128×128, rank 64; "
        "r: 16 to 128, at C 96, 16×16"
    )
    assert "published form; C, H, W of 16×32×32 to 32×64×96, rank 4" in claim("O(C²+", sheet).convention
    assert claim("tensor rank 64", sheet).measured == "at least 96"
    assert claim("tensor rank 64", sheet).verdict == "differs"
    steep = frame.assign(verdict=np.where(frame["claimed"] == "O(CH²W²)", "differs", frame["verdict"]))
    changed = Sheet("growth", "", sheet.grid, steep, "")
    assert claim("O(CH²W²)", changed).verdict == "differs"
    assert claim("O(rCHW)", changed).verdict == "reproduced"


def test_a_claim_without_its_sheet_or_its_number_is_not_measured() -> None:
    found = ledger([])
    assert [each.words for each in found] == [row["words"] for row in printed.claims()]
    assert {row["claim"] for row in printed.claims()} == ANSWERS.keys()
    assert {each.verdict for each in found} == {"not measured"}
    assert all(each.reason.startswith(f"{each.reason.split()[0]} was not made") for each in found)
    lost = claim("900 times", table10(reconet={"published_gmacs": np.nan}))
    assert (lost.verdict, lost.reason) == ("not measured", "table10 lacks a number it needs")


def test_it_is_a_sheet_of_its_own() -> None:
    claims = ledger([table9(), table10()])
    sheet = ledger_sheet(claims, source="here")
    assert sheet.frame["words"].tolist() == [each.words for each in claims]
    assert set(sheet.frame["verdict"]) <= set(VERDICTS)
    assert [row[-1].text for row in sheet.grid.groups[0].rows] == sheet.frame["verdict"].tolist()
