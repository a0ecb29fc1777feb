"""Tables 7 and 8: which runs they are, and what is said of the scores."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from ctxbench.errors import UserError
from ctxbench.paper import printed
from ctxbench.paper.ablation import settings as ablation
from ctxbench.paper.ablation.settings import MS_FLIP, Study
from ctxbench.paper.make import ABLATION
from ctxbench.paper.offers.training_presets import PRESETS
from ctxbench.paper.sheet import write_sheet
from ctxbench.paper.tables import table7 as components
from ctxbench.paper.tables import table8 as rank
from ctxbench.paper.tables.table7 import component_rows, table7
from ctxbench.paper.tables.table8 import rank_rows, table8
from ctxbench.study.whole.grid import planned
from ctxbench.study.whole.rows import Result, Row, compare
from ctxbench.study.whole.trial import SINGLE_SCALE
from ctxbench.table.grid import EMPTY

START = {"cpu": "A CPU", "torch": "9.9", "ctxbench": "1.2.3", "began": "2026-01-02T03:04:05+00:00"}
SIFT = Study("sift_flow", root=Path("data"), weights={"resnet101": Path("r101.pth")})


def scored(rows: Sequence[Row], gains: Sequence[float], scatter: float = 0.1) -> list[Result]:
    """Results in which each row is a gain above the one before, nearly alike in three seeds."""
    found, level, random = [], 50.0, Random(0)
    for row, gain in zip(rows, gains, strict=True):
        level += gain
        first, second = (scatter * random.uniform(-1, 1) for _ in range(2))
        noise = (first, second, -first - second)
        miou = {seed: level + 3 * (seed - 1) + noise[seed] for seed in range(3)}
        found.append(Result(row, miou, devices=("a machine",), starts=([START],) * 3))
    return found


def grid(scores: Sequence[Result]) -> Callable[..., list[Result]]:
    """In place of a grid that would be trained."""

    def given(rows: Sequence[Row], *_: object, **__: object) -> list[Result]:
        assert list(rows) == [result.row for result in scores]
        return list(scores)

    return given


def test_the_rows_of_table_7_are_the_printed_ones() -> None:
    rows = component_rows(SIFT)
    parts = [(r.config.backbone, r.config.context, r.config.global_pool) for r in rows]
    assert parts == [
        ("resnet50", "none", False),
        ("resnet50", "reconet", False),
        ("resnet50", "reconet", True),
        ("resnet50", "reconet", True),
        *[("resnet101", "reconet", True)] * 3,
    ]
    assert [r.config.auxiliary for r in rows] == [False] * 3 + [True] * 4
    assert [r.setting for r in rows] == [SINGLE_SCALE] * 5 + [MS_FLIP] * 2
    assert [r.start for r in rows] == [None] * 6 + [rows[5]]
    assert [r.printed for r in rows] == [line["miou"] for line in printed.rows(7)]
    assert [r.reference for r in rows] == [None, 0, 1, 2, 3, 4, 5]
    labels = ["ResNet-50", "+ TGM+TRM", "+ GPM", "+ aux loss", "ResNet-101 instead", "+ MS/flip", "+ FT"]
    assert [r.label for r in rows] == labels
    weights = [r.config.weights for r in rows]
    assert weights == [None] * 4 + [str(Path("r101.pth").absolute())] * 3


def test_a_study_trains_with_the_preset_of_its_data_set() -> None:
    preset = PRESETS["sift_flow"].config
    first, *_, tuned = (row.config for row in component_rows(SIFT))
    assert (first.epochs, first.lr, first.crop, first.batch) == (80, preset.lr, preset.crop, preset.batch)
    assert (first.root, first.evaluate_every) == (str(Path("data").absolute()), 0)
    assert (tuned.epochs, tuned.lr) == (50, pytest.approx(preset.lr / 100))
    quick = replace(SIFT, quick=True)
    assert quick.config(larger=False).epochs == 40
    assert (list(quick.seeds), len(SIFT.seeds)) == ([0], ablation.N_SEEDS)
    own = replace(SIFT, settings={"iterations": 10, "batch": 4}, n_seeds=2)
    assert (own.config(False).iterations, own.config(False).batch, list(own.seeds)) == (10, 4, [0, 1])


def test_fine_tuning_on_voc_is_on_its_own_training_set() -> None:
    tuned = component_rows(Study("voc12aug", root=Path("voc")))[-1].config
    assert (tuned.dataset, tuned.train_split, tuned.epochs) == ("voc12", "train", 50)
    assert tuned.lr == pytest.approx(1e-5)


def test_rank_64_is_the_run_that_table_7_has() -> None:
    sevens, eights = component_rows(SIFT), rank_rows(SIFT)
    assert [row.config.context_options["rank"] for row in eights] == [16, 32, 48, 64, 80, 96, 128]
    assert sevens[5].trial(1).name == eights[3].trial(1).name
    assert [row.reference for row in eights] == [3, 3, 3, None, 3, 3, 3]
    assert len(planned([*sevens, *eights], [0])) == 6 + 6
    assert [row.label for row in rank_rows(replace(SIFT, quick=True))] == [
        "rank 16",
        "rank 64",
        "rank 128",
    ]


def test_ranks_above_the_least_side_of_the_features_are_marked() -> None:
    marked = [row.label for row in rank_rows(SIFT) if row.note]
    assert marked == ["rank 80", "rank 96", "rank 128"]
    small = Study("synthetic", settings={"crop": 129, "channels": 24})
    assert [row.note for row in rank_rows(small)][:2] == ["", "above 17, the feature map's least side"]
    assert "X is 24×17×17 in training" in rank._bound_in_words(small)
    assert "has rank 289 at most" in rank._bound_in_words(small)


def test_directions_are_of_the_printed_gains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = component_rows(SIFT)
    monkeypatch.setattr(ablation, "run_grid", grid(scored(rows, [0, 9, 2, -2, 0.01, 2, 2])))
    sheet = table7(SIFT, tmp_path, command=["ctxbench", "paper", "table7"])
    frame = sheet.frame
    assert frame["direction"].fillna("").tolist() == [
        "", "appeared", "appeared", "did not appear", "not significant", "appeared", "appeared",
    ]  # fmt: skip
    assert [row[2].text for row in sheet.grid.groups[0].rows] == [row.printed for row in rows]
    assert [row[5].text for row in sheet.grid.groups[0].rows] == ["3"] * 7
    assert (frame["seeds"].tolist(), str(frame["iterations"].dtype)) == ([3] * 7, "Int64")
    assert frame["epochs"].tolist() == [80] * 6 + [50]
    assert frame["gain_points"][1:].tolist() == pytest.approx([9, 2, -2, 0.01, 2, 2])
    assert frame["printed_gain_points"][1:].tolist() == pytest.approx([9.9, 0.6, 0.6, 1.6, 0.7, 0.8])
    assert frame["miou_sd_points"][0] == pytest.approx(3.0, abs=0.1)
    assert [text.partition(":")[0] for text in frame["miou_by_seed_pct"][0].split()] == ["0", "1", "2"]
    assert sheet.grid.findings[0].endswith(
        "+9.0 points, significantly above zero; its lead over the other gains was not tested."
    )
    assert sheet.origin == (
        "trained on cpu (A CPU), torch 9.9, ctxbench 1.2.3 · 32-true · begun 2026-01-02 03:04 UTC"
        " · ctxbench paper table7"
    )
    assert "aux loss: printed +0.6 points; here −2.0, the opposite appeared." in sheet.grid.findings
    assert "MS/flip: printed +0.7 points; here +2.0, the direction appeared." in sheet.grid.findings
    assert "Scores are of networks evaluated on a machine." in sheet.grid.notes
    assert any("No weights were given for resnet50: trained from random ones" in n for n in sheet.grid.notes)
    assert "sift_flow · resnet50 for ResNet-50, resnet101 for ResNet-101 · 80 epochs" in sheet.grid.title
    files = {path.name for path in write_sheet(sheet, tmp_path / "out")}
    assert files == {f"table7.{kind}" for kind in ("csv", "md", "tex", "png", "svg")}
    assert r"| +9.0 \* |" in (tmp_path / "out/table7.md").read_text()


def test_a_failed_row_is_not_measured_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = component_rows(SIFT)
    results = scored(rows, [0, 9, 2, 2, 2, 2, 2])
    results[1] = Result(rows[1], {}, {0: "out of memory", 1: "out of memory", 2: "lost"})
    monkeypatch.setattr(ablation, "run_grid", grid(results))
    sheet = table7(SIFT, tmp_path)
    assert sheet.frame["verdict"].fillna("").tolist() == ["", "not measured", *[""] * 5]
    assert sheet.frame["reason"][1] == "seed 0: out of memory; seed 1: out of memory; seed 2: lost"
    assert sheet.grid.footnotes == [sheet.frame["reason"][1]]
    cells = [[(cell.text, cell.note) for cell in row[4:]] for row in sheet.grid.groups[0].rows]
    nothing = (EMPTY, 0)
    assert cells[0][2:] == [nothing] * 3  # nothing stands before the first row
    assert cells[1] == [(EMPTY, 1), ("0", 0), nothing, nothing, ("not measured", 0)]
    assert cells[2][1:] == [("3", 0), nothing, nothing, ("not measured", 0)]  # its reference failed
    assert cells[3][2] == ("+2.0 *", 0)
    assert sheet.frame["direction"].isna().tolist() == [True] * 3 + [False] * 4
    assert sheet.frame["direction"][3] == "appeared"
    assert sheet.frame[["gain_points", "p_holm"]].iloc[[1, 2]].isna().all(axis=None)
    assert sheet.grid.findings[0].endswith("Here: not measured.")
    assert "GPM: printed +0.6 points; here not measured." in sheet.grid.findings


def test_one_seed_tests_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = replace(SIFT, quick=True)
    rows = rank_rows(quick)
    scores = [Result(row, {0: miou}) for row, miou in zip(rows, (50.0, 60.0, 40.0), strict=True)]
    monkeypatch.setattr(ablation, "run_grid", grid(scores))
    sheet = table8(quick, tmp_path)
    assert sheet.frame["direction"].fillna("").tolist() == ["not significant", "", "not significant"]
    assert sheet.frame["p_holm"].isna().all()
    assert any("One seed: nothing can be tested" in note for note in sheet.grid.notes)


@pytest.mark.parametrize(
    ("gains", "best", "more"),
    [
        ([50, 5, 5, 5, -5, -5, -5], "Here it appeared: all other ranks", "it appeared: a rank above 64"),
        ([50, 5, 5, 5, 5, 5, 5], "rank 128 is best, by +15.0 points, significantly", "no rank above 64 is"),
        ([50, 0, 0, 0.01, 0, -5, 0], "only rank 96, rank 128 significantly", "it appeared: a rank above 64"),
        ([50, -1, 2, 0, 0.01, -0.03, 0], "though not significantly", "as scatter alone may give"),
    ],
)
def test_what_is_said_of_rank_follows_from_the_scores(gains: list[float], best: str, more: str) -> None:
    rows = rank_rows(SIFT)
    said = rank.in_words(compare(scored(rows, gains)))
    assert best in said[0]
    assert more in said[1]


def test_a_rank_is_behind_where_its_own_seeds_are() -> None:
    rows = [row for row in rank_rows(SIFT) if row.label in ("rank 16", "rank 64")]
    rows = [replace(rows[0], reference=1), rows[1]]
    scores = ({0: 50.5, 1: 51.5}, {0: 50.0, 1: 51.0, 2: 60.0})
    results = [Result(row, miou) for row, miou in zip(rows, scores, strict=True)]
    assert "no rank significantly behind it" in rank.in_words(compare(results))[0]


def test_what_dominates_follows_from_the_scores() -> None:
    rows = component_rows(SIFT)

    def said(gains: list[float], scatter: float = 0.1) -> str:
        return components.in_words(compare(scored(rows, gains, scatter)))[0]

    assert said([0, 1, 9, 1, 1, 1, 1]).endswith("did not appear in the means: +1.0 points, and +9.0 of GPM.")
    assert "did not appear: nothing gained" in said([0, -1, -9, -2, -2, -2, -2])
    assert said([0, 9, 1, 1, 1, 1, 1], scatter=30).endswith(
        "+9.0 points, not significantly above zero; its lead over the other gains was not tested."
    )


def test_a_study_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(UserError, match="1 to 1000 seeds, not 0"):
        Study(n_seeds=0)
    with pytest.raises(UserError, match="weights are for resnet50 or resnet101, not resnet18"):
        Study("sift_flow", weights={"resnet18": Path("a.pth")})
    for settings in ({"seed": 5}, {"dataset": "voc12"}, {"auxiliary": False}, {"backbone": "resnet50"}):
        with pytest.raises(UserError, match=f"an ablation chooses {next(iter(settings))} itself"):
            component_rows(Study(settings=settings))


def test_a_row_with_a_seed_is_a_run_of_its_own() -> None:
    names = {row.trial(seed).name for row in rank_rows(SIFT) for seed in range(3)}
    assert len(names) == 21
    assert Row("other", SIFT.config(True)).trial(0).name not in names


def test_the_ablations_on_record_are_found_and_finished() -> None:
    """The names of their folders hold the digests of their settings, which an older version computed."""
    folder = Path(__file__).resolve().parents[3] / "reports" / "paper" / ABLATION
    trials = planned([*component_rows(Study()), *rank_rows(Study())], Study().seeds)
    assert len(trials) == 36
    assert [name for name, trial in trials.items() if not trial.finished(folder)] == []
