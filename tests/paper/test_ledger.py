"""The ledger's verdicts: each turns with the published form's numbers in the frames, and with no others."""

import importlib.util
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ctxbench.paper import printed
from ctxbench.paper.claims import ANSWERS
from ctxbench.paper.ledger import RULE, Claim, ledger, ledger_sheet
from ctxbench.paper.tables import growth as growing
from ctxbench.paper.tables.growth import growth
from ctxbench.table.latex import grid_latex
from ctxbench.table.markdown import escape, grid_markdown
from ctxbench.table.terminal import plain

ROOT = Path(__file__).resolve().parents[2]
Frames = dict[str, pd.DataFrame]
MODULES = {"nonlocal": (19.33, 10.7), "a2net": (4.30, 3.2), "reconet": (0.0215, 0.15)}


def table10(**changed: dict[str, float]) -> Frames:
    """Three modules of Table 10, TGM+TRM with the greatest published peak; ``changed`` by module."""
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
            "paper_every_call_gflops": 0.29 if module == "reconet" else printed,
            "paper_every_call_mib": 520.3125,
            "published_peak_pred_mib": 528.0 if module == "reconet" else 100.0,
            "fast_peak_pred_mib": 9.3 if module == "reconet" else 50.0,
            "published_lat_median_ms": 20.0 if module == "reconet" else macs,
            "fast_lat_median_ms": 1.0 if module == "reconet" else macs,
        }
        | changed.get(module, {})
        for module, (printed, macs) in MODULES.items()
    }
    return {"table10": pd.DataFrame(rows.values())}


def table9(**gmacs: float) -> Frames:
    """Table 9 with the same digits printed as counted, in both forms."""
    known = {"ResNet-101": 184.0, "PSPNet": 77.0, "DeepLabV3+": 83.0, "DANet": 110.0, "PSANet": 94.0}
    known |= {"CCNet": 100.0, "EMANet": 43.1, "RecoNet": 41.9}
    frame = pd.DataFrame(
        {
            "method": method,
            "printed_gflops": f"{value:.1f}",
            "published_gmacs_512": gmacs.get(method, value),
            "fast_gmacs_512": value,
            "flops_decode": f"counting of {method}",
            "flops_verdict": "reproduced",
        }
        for method, value in known.items()
    )
    return {"table9": frame}


def claim(about: str, frames: Frames) -> Claim:
    (found,) = (each for each in ledger(frames) if about in each.words)
    return found


@pytest.mark.parametrize(("macs", "verdict"), [(0.15, "differs"), (0.0119, "reproduced"), (0.01, "differs")])
def test_about_900_times(macs: float, verdict: str) -> None:
    found = claim("900 times", table10(reconet={"published_gmacs": macs}))
    assert found.verdict == verdict
    assert found.printed == "899×"
    assert float(found.published.partition("×")[0]) == pytest.approx(10.7 / macs, rel=0.005)
    assert found.fast == "71.3×"


@pytest.mark.parametrize(("macs", "verdict"), [(0.15, "differs"), (0.031, "reproduced")])
def test_more_than_100_times(macs: float, verdict: str) -> None:
    frames = table10(reconet={"published_gmacs": macs})
    assert claim("100 times less FLOPs", frames).verdict == verdict
    assert claim("100 times less computational cost", frames).verdict == verdict


def test_more_than_100_times_by_the_papers_own_rule_like_for_like() -> None:
    """Of TGM+TRM every call: 19.33 and 4.30 over 0.29; of the others too: A² has 8.60."""
    found = claim("less computational cost", table10(a2net={"paper_every_call_gflops": 8.6}))
    assert "of TGM+TRM counted, the printed numbers of the others are 14.8 to 66.7×" in found.reason
    assert found.reason.endswith("and 29.7 to 66.7× with every call of theirs counted too")
    assert "of theirs" not in claim("less computational cost", table10()).reason  # the same


def test_the_lowest_overhead_is_of_macs_and_memory_and_latency_is_told() -> None:
    found = claim("lowest computational overhead", table10())
    assert found.verdict == "differs"
    assert found.published == (
        "lowest of 3 in MACs, highest of 3 in memory, highest of 3 in latency; the next takes 21.3× the MACs"
    )
    assert found.fast.startswith("lowest of 3 in MACs, lowest of 3 in memory, lowest of 3 in latency")
    small = {"published_peak_pred_mib": 8.0}
    assert claim("lowest", table10(reconet=small)).verdict == "reproduced"
    assert claim("lowest", table10(reconet=small, a2net={"published_gmacs": 0.1})).verdict == "differs"
    second = claim("lowest", table10(reconet=small | {"published_lat_median_ms": 4.0}))
    assert (second.verdict, "2nd-lowest of 3 in latency" in second.published) == ("reproduced", True)
    unknown = claim("lowest", table10(a2net={"published_lat_median_ms": np.nan}))
    assert "latency" not in unknown.published


@pytest.mark.parametrize(("macs", "verdict"), [(0.15, "differs"), (0.0118, "reproduced")])
def test_negligible_is_as_small_a_share_as_the_table_prints(macs: float, verdict: str) -> None:
    found = claim("neglegible", table10(reconet={"published_gmacs": macs}))
    assert (found.printed, found.verdict) == ("0.111 to 0.500 % of theirs", verdict)


def test_the_efficient_blocks_take_less_of_both_than_non_local() -> None:
    def found(**changed: float) -> Claim:
        frame = table10(a2net={"published_peak_pred_mib": 50.0} | changed)["table10"]
        (a2net,) = frame[frame["module"] == "a2net"].to_dict("records")
        more = pd.DataFrame([{**a2net, "module": module} for module in ("emau", "rcca")])
        return claim("EMANet, CCNet", {"table10": pd.concat([frame, more])})

    cheaper = found(fast_gmacs=2.0, fast_peak_pred_mib=20.0)
    assert cheaper.published == "0.299× the MACs, 0.500× the memory of Non-Local"
    assert cheaper.fast == "0.187× the MACs, 0.400× the memory of Non-Local"
    assert cheaper.convention.endswith("at 1×512×64×64, as Table 10 configures them")
    assert "in the fast forms" not in cheaper.reason
    dearer = found(fast_peak_pred_mib=91.0)
    assert (cheaper.verdict, dearer.verdict) == ("reproduced", "reproduced")
    assert "in the fast forms EMANet takes 1.82 times the memory of Non-Local, CCNet" in dearer.reason
    assert found(published_gmacs=11.0).verdict == "differs"
    assert found(published_peak_pred_mib=101.0).verdict == "differs"


def test_words_of_amount_without_a_number_are_held_to_their_order_alone() -> None:
    greater = claim("CHW >>", table10())
    assert (greater.verdict, greater.not_measured) == ("in part", "“≫”, to which the paper puts no number")
    assert (greater.reason, greater.fast) == ("CHW is 8.0 times C²", "")
    assert claim("CHW >>", table10(reconet={"width": 8})).verdict == "differs"
    one_row = {"height": 1, "width": 500}  # CHW is 0.98 times C²
    assert claim("CHW >>", table10(reconet=one_row)).verdict == "differs"
    smaller = claim("much smaller than non-local", table10())
    assert (smaller.verdict, smaller.published, smaller.printed) == ("in part", "71.3×", "899× (Table 10)")
    assert smaller.reason == "HW/r = 64.0× in the letters"
    assert claim("much smaller", table10(reconet={"published_gmacs": 11.0})).verdict == "differs"
    huge = claim("huge cost", table10())
    assert (huge.verdict, huge.reason) == ("in part", "(CHW)² is 4398 G")
    assert huge.published == f"{(512 * 64 * 64) ** 2 / 0.15e9:,.0f} times TGM+TRM"
    assert huge.not_measured.startswith("the paper describes no such model")
    assert claim("huge cost", table10(reconet={"published_gmacs": 4399.0})).verdict == "differs"


def test_printed_memory_is_no_peak() -> None:
    found = claim("GPU Memory [", table10())
    assert (found.printed, found.verdict) == ("8.31 MB", "differs")
    assert (found.published, found.fast) == ("528.0 MiB", "9.300 MiB")
    assert found.convention.endswith("at 1×512×64×64, rank 64; the printed MB is 2²⁰ bytes")
    assert found.reason.endswith("of each its last call, and 520.3 MiB of every call")
    assert claim("GPU Memory [", table10(reconet={"published_peak_pred_mib": 8.3125})).verdict == "reproduced"


def with_scores(frames: Frames, name: str, **scores: float) -> Frames:
    """Runs with these scores in %, comparable but for those under 0."""
    frame = frames["table9"]
    values = [abs(scores.get(method, np.nan)) for method in frame["method"]]
    verdicts = ["not measured" if scores.get(method, -1) < 0 else "differs" for method in frame["method"]]
    return {"table9": frame.assign(**{f"{name}_pct": values, f"{name}_verdict": verdicts})}


@pytest.mark.parametrize(("about", "other"), [("surpass", "DeepLabV3+"), ("relatively small", "EMANet")])
def test_what_is_said_of_miou_too_is_reproduced_in_part_until_it_is_measured(about: str, other: str) -> None:
    found = claim(about, table9())
    assert (found.verdict, found.not_measured) == ("in part", "mIoU")
    assert found.convention.endswith("at 1×3×512×512")
    scores = dict.fromkeys(("PSPNet", "CCNet", "EMANet", "DeepLabV3+"), 79.0) | {"RecoNet": 81.0}
    for name in ("miou_ss", "miou_ms_flip"):
        best = claim(about, with_scores(table9(), name, **scores))
        assert (best.verdict, best.not_measured) == ("reproduced", "")
        assert best.reason.endswith("in mIoU it is the best of them")
        assert claim(about, with_scores(table9(), name, **scores | {other: 82.0})).verdict == "differs"
        assert claim(about, with_scores(table9(), name, **scores | {other: -79.0})).verdict == "in part"


def test_networks_are_compared_at_one_size() -> None:
    assert claim("surpass", table9(PSPNet=41.8)).verdict == "differs"
    assert claim("surpass", table9()).reason == "it adds 0.544 times what PSPNet adds"
    found = [claim("relatively small", table9(RecoNet=g)) for g in (41.0, 41.9, 42.0)]
    assert [each.verdict for each in found] == ["in part", "in part", "differs"]
    dearer = claim("relatively small", table9(RecoNet=43.2))
    assert "it adds 1.002 times what EMANet adds, where 0.972 is printed" in dearer.reason
    assert "EMANet's printed number fits counting of EMANet" in dearer.reason
    assert "fits" not in found[-1].reason  # the order is the printed one
    assert dearer.not_measured == "mIoU"
    (note,) = ledger_sheet([dearer], source="here").grid.footnotes
    assert note.startswith("it adds")
    assert note.endswith("; not measured: mIoU.")


def test_whole_models_with_the_backbone() -> None:
    found = claim("whole model", table9(EMANet=41.7))
    assert found.printed == "1.01 to 1.30× (Table 9, with the backbone)"
    assert found.published == "0.999 to 1.30×"
    assert (found.fast, found.verdict) == ("1.01 to 1.30×", "differs")


@pytest.fixture(scope="module")
def small_growth() -> Frames:
    patch = pytest.MonkeyPatch()
    patch.setattr(growing, "SIZES", (8, 16, 32))
    patch.setattr(growing, "CHANNELS", (16, 32, 64))
    patch.setattr(growing, "PAPER_SHAPE", (1, 96, 16, 24))
    patch.setattr(growing, "RANK", 4)
    patch.setattr(growing, "RANKS", (2, 4, 8))
    try:
        return {"growth": growth(source="here").frame}
    finally:
        patch.undo()


def test_orders_are_macs_over_the_expression_in_closed_form(small_growth: Frames) -> None:
    frame = small_growth["growth"].set_index(["subject", "form"])
    shapes = [(24, 4, 6), (48, 8, 12), (96, 16, 24), (192, 32, 48)]

    def ratios(subject: str, form: str) -> list[float]:
        values = frame["ratios"].loc[[(subject, form)]].dropna()
        return [float(number) for number in values.iloc[0].split(", ")]

    def rounded(exact: Callable[[int, int, int], float]) -> object:
        return pytest.approx([exact(*shape) for shape in shapes], rel=5e-3)

    for form in ("published", "fast"):
        assert ratios("Non-Local", form) == rounded(lambda c, h, w: 1 + 2 * c / (h * w))
        assert ratios("TGM, one rank", form) == [1, 1, 1, 1]
    assert ratios("TRM, one rank", "published") == rounded(lambda c, h, w: 1 + 1 / w)
    assert ratios("TGM+TRM", "published") == rounded(
        lambda c, h, w: 1 + 1 / w + (c**2 + h**2 + w**2) / (c * h * w)
    )
    exponents = small_growth["growth"].dropna(subset="exponent")
    assert len(exponents) == 10
    assert set(exponents["verdict"]) == {None}


def test_orders_and_rank_come_from_the_growth_sheet(small_growth: Frames) -> None:
    total = claim("the total complexity is O(rCHW)", small_growth)
    assert total.verdict == "reproduced"
    assert total.published.count("last two") == 3
    assert total.convention.endswith(
        "; n: 64 to 1024, at C 96, rank 64; C: 16 to 64, at 16×24, rank 64; r: 2 to 8, at C 96, 16×24"
    )
    non_local = claim("O(CH²W²)", small_growth)
    assert (non_local.verdict, non_local.published.count("last two")) == ("reproduced", 2)
    assert "C^1." in non_local.published
    tgm = claim("O(C²+H²+W²)", small_growth)
    assert tgm.verdict == "in part"
    assert tgm.not_measured.startswith("the additions of its poolings, 2CHW + 2HW")
    assert claim("O(CHW) for each", small_growth).verdict == "reproduced"
    rank = claim("tensor rank 64", small_growth)  # 96·16·24 / 134 = 275.1, and 16·24
    assert (rank.published, rank.verdict) == ("276 to 384", "differs")


@pytest.mark.parametrize("form", ["published", "fast"])
def test_an_order_is_judged_by_the_published_form(small_growth: Frames, form: str) -> None:
    frame = small_growth["growth"]
    rises = (frame["claimed"] == "O(CH²W²)") & (frame["form"] == form)
    changed = {"growth": frame.assign(verdict=frame["verdict"].mask(rises, "differs"))}
    assert claim("O(CH²W²)", changed).verdict == ("differs" if form == "published" else "reproduced")
    assert claim("is O(rCHW)", changed).verdict == "reproduced"


def test_a_ratio_that_rises_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    def counted(module: str, form: str, shape: growing.Shape) -> dict[bool, int]:
        return {True: 0, False: shape.c**2 * shape.h**2 * shape.w**2}

    monkeypatch.setattr(growing, "_macs", counted)
    verdicts = {(row.subject, row.form): row.verdict for row in growing._together()}
    assert verdicts["Non-Local", "published"] == "differs"
    assert verdicts["TGM, one rank", "published"] == "reproduced"  # nothing at all


def test_a_claim_without_its_sheet_or_its_number_is_not_measured() -> None:
    found = ledger({})
    assert [each.words for each in found] == [row["words"] for row in printed.claims()]
    assert {row["claim"] for row in printed.claims()} == ANSWERS.keys()
    assert {each.verdict for each in found} == {"not measured"}
    assert all(each.reason.startswith(f"{each.reason.split()[0]} was not made") for each in found)
    lost = claim("900 times", table10(reconet={"published_gmacs": np.nan}))
    assert (lost.verdict, lost.reason) == ("not measured", "table10 lacks a number it needs")


def test_the_page_of_docs_says_what_the_ledger_says(small_growth: Frames, tmp_path: Path) -> None:
    """It is made from the sheets' files, where a number is text and nothing is an empty cell."""
    frames = table9() | table10(reconet={"printed_mib": "8.30"}) | small_growth
    for name, frame in frames.items():
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec
    assert spec.loader
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert grid_markdown(ledger_sheet(ledger(frames), source="").grid) in generate.claims(tmp_path)


def test_its_rule_stands_above_it_and_its_words_are_few() -> None:
    measured = table9() | table10(reconet={"published_peak_pred_mib": 8.0})
    sheet = ledger_sheet(ledger(measured), source="here")
    assert set(sheet.frame["verdict"]) == {"reproduced", "differs", "in part", "not measured"}
    shown = [row[-1].text for row in sheet.grid.groups[0].rows]
    rows = sheet.frame.to_dict("records")
    assert shown == [
        f"in part: {row['not_measured']}" if row["verdict"] == "in part" else row["verdict"] for row in rows
    ]
    text = grid_markdown(sheet.grid)
    assert text.index(escape(RULE)) < text.index("| claim |")
    drawn = plain([sheet.grid])
    assert drawn.index("One rule for every row") < drawn.index("abstract")
    latex = grid_latex(sheet.grid, "caption", "tab:ledger")
    assert latex.index("One rule for every row") < latex.index(r"\begin{tabular}")
    assert "?" not in latex


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_sets_it(tmp_path: Path) -> None:
    """A claim begins with a bracket, which would be an argument of the row before."""
    table = grid_latex(
        ledger_sheet(ledger(table9() | table10()), source="here").grid, "caption", "tab:ledger"
    )
    text = (
        f"\\documentclass{{article}}\\usepackage{{booktabs}}\n\\begin{{document}}{table}\\end{{document}}\n"
    )
    (tmp_path / "ledger.tex").write_text(text, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "ledger.tex"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout[-2000:]
