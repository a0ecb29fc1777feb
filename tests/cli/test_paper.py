"""The verb paper as a user types it."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from synthetic import MODULES, record, write_run

from ctxbench.cli import main
from ctxbench.errors import UserError
from ctxbench.paper import make as tables
from ctxbench.paper.make import Request
from ctxbench.paper.sheet import Sheet
from ctxbench.table.grid import Grid, Heading

Run = Callable[..., int]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> int:
        monkeypatch.setattr("sys.argv", ["ctxbench", "paper", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        return int(left.value.code or 0)

    return call


def measured(folder: Path) -> Path:
    """Leave the run of Table 10, so that nothing is measured."""
    records = [record(module, implementation=form) for module in MODULES for form in ("fast", "published")]
    return write_run(folder / "table10", records, ctxbench="1.2.3")


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_one_table_is_printed_and_written(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measured(tmp_path / "out")
    assert run("table10", "--out", "out") == 0
    told = capsys.readouterr().out
    assert "not reproducible" in told
    assert "Written to out: table10: .csv, .md, .tex, .png, .svg." in told
    assert [row["flops_verdict"] for row in rows(tmp_path / "out" / "table10.csv")].count("reproduced") == 7


def test_results_without_a_run_are_not_measured(run: Run, tmp_path: Path) -> None:
    assert run("table6", "--out", "out") == 3
    (last,) = [row for row in rows(tmp_path / "out" / "table6.csv") if row["row"] == "run"]
    assert last["miou_verdict"] == "not measured"
    assert "ctxbench train" in last["miou_reason"]


def test_the_figure_without_a_run_says_how_to_have_one(run: Run, tmp_path: Path) -> None:
    assert run("fig5", "--out", "out") == 3
    assert rows(tmp_path / "out" / "fig5.csv")[0]["command"].startswith("ctxbench train")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("table11",), "table11"),
        (("table3", "--run", "nowhere"), "nowhere"),
        (("table10", "--device", "tpu"), "tpu"),
        (("table7", "--device", "tpu"), "tpu"),
        (("table8", "--device", "cuda:1"), "CUDA_VISIBLE_DEVICES"),
        (("table9", "--channels", "64"), "would not change table9: leave out --channels"),
        (("table10", "--run", "one"), "--run"),
        (("growth", "--size", "32"), "--size"),
        (("fig5", "--run", "nowhere"), "nowhere"),
        (("table10", "--size", "1x2x3"), "1x2x3"),
        (("table7", "--weights", "resnet50"), "resnet50"),
        (("table7", "--seeds", "0"), "0"),
        (("table8", "--dataset", "nothing"), "nothing"),
        (("table7", "--set", "backbone=resnet50"), "an ablation chooses backbone itself"),
        (("table7", "--set", "weights=nowhere.pth"), "nowhere.pth"),
        (("table8", "--set", "context_options.rank=1"), "an ablation chooses context_options itself"),
        (("all", "--device", "tpu"), "tpu"),
        (("all", "--run", "nowhere"), "nowhere"),
        (("all", "--set", "auxiliary=true"), "auxiliary"),
        (("all", "--dataset", "nothing"), "nothing"),
        (("all", "--dataset", "sift_flow", "--root", "nowhere"), "nowhere"),
        (("all", "--rank", "0"), "rank"),
    ],
)
def test_nonsense_is_one_line(
    run: Run, arguments: tuple[str, ...], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments, "--out", "out") == 2
    (line,) = [
        line for line in capsys.readouterr().err.splitlines() if not line.startswith("ctxbench: table")
    ]
    assert named in line
    assert "Traceback" not in line
    assert not (tmp_path / "out").exists()


def made(name: str, **changes: Any) -> Callable[[Request], Sheet]:
    frame = pd.DataFrame({"row": ["run"], "verdict": ["reproduced"], **changes})
    return lambda request: Sheet(name, name, Grid(name, [Heading("row", "row")]), frame, request.counted)


def test_all_makes_what_can_be_made(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lost(request: Request) -> Sheet:
        raise UserError("its data are not there")

    known = {"table10": tables.TABLES["table10"], "table7": lost, "table9": made("table9")}
    monkeypatch.setattr(tables, "TABLES", known)
    measured(tmp_path / "out")
    assert run("all", "--out", "out") == 4
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"index.html", "ledger.csv", "table7.csv", "table9.md", "table10.svg"} <= written
    (missing,) = rows(tmp_path / "out" / "table7.csv")
    assert missing["reason"] == "its data are not there"
    assert missing["command"] == "ctxbench paper table7"
    claims = {row["words"]: row for row in rows(tmp_path / "out" / "ledger.csv")}
    lowest = claims["TGM+TRM has the lowest computational overhead"]
    assert lowest["verdict"] == "differs"
    assert lowest["published"].startswith("lowest of 8 in MACs, 3rd-lowest of 8 in memory")
    assert "One rule for every row" in (tmp_path / "out" / "ledger.md").read_text()
    assert "One rule for every row" in (tmp_path / "out" / "index.html").read_text()
    assert claims["has maximum tensor rank 64"]["reason"].startswith("growth was not made")
    assert "its data are not there" in (tmp_path / "out" / "index.html").read_text()
    assert "index.html, and of each table" in capsys.readouterr().out


def test_a_table_that_fails_keeps_its_earlier_files(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(request: Request) -> Sheet:
        raise UserError("its data are not there")

    kept = tmp_path / "out" / "table7.csv"
    kept.parent.mkdir()
    kept.write_text("results of a night\n")
    monkeypatch.setattr(tables, "TABLES", {"table7": lost, "table9": made("table9")})
    assert run("all", "--out", "out") == 4
    assert kept.read_text() == "results of a night\n"
    assert "the files of an earlier table7 were kept" in (tmp_path / "out" / "index.html").read_text()


def test_an_interrupted_run_says_how_to_go_on(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(request: Request) -> Sheet:
        raise KeyboardInterrupt

    monkeypatch.setattr(tables, "TABLES", {"table10": interrupted})
    assert run("table10", "--out", "out") == 130
    assert "the same command goes on" in capsys.readouterr().err


def test_what_is_asked_reaches_the_tables(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Request] = []

    def keep(request: Request) -> Sheet:
        asked.append(request)
        return made("table8")(request)

    monkeypatch.setattr(tables, "TABLES", dict.fromkeys(("table8", "table10", "fig5"), keep))
    given = "--quick --dataset sift_flow --root data --seeds 2"
    more = "--weights resnet50=a.pth --set workers=3 --device cuda"
    assert run("table8", *given.split(), *more.split()) == 0
    shape = "--channels 256 --size 32x48 --rank 16 --device cuda:1"
    assert run("table10", *shape.split()) == 0
    assert run("fig5", *["--run", "one", "--run", "two"]) == 0
    request, shaped, drawn = asked
    assert (shaped.channels, shaped.size, shaped.rank, shaped.quick) == (256, (32, 48), 16, False)
    assert shaped.device == "cuda:1"
    assert (request.quick, request.device) == (True, "cuda")
    assert drawn.runs == (Path("one"), Path("two"))
    assert request.out == Path("reports/paper")
    study = request.study
    assert (study.dataset, study.root, study.n_seeds, study.device) == ("sift_flow", Path("data"), 2, "cuda")
    assert (study.weights, study.settings) == ({"resnet50": Path("a.pth")}, {"workers": 3})
    assert " ".join(request.command).startswith("ctxbench paper table8 --quick")
