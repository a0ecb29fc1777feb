"""``ctxbench report``, and how tables look by the options that ``profile`` has too."""

import csv
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from synthetic import MODULES, record, records, write_run

from ctxbench.subject.registry import SPECS, bibliography

Run = Callable[..., int]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    emau = record("emau")
    own = replace(emau, case=replace(emau.case, module="blocks.py:My_Block", options={"act": "nn.GELU"}))
    return write_run(tmp_path / "run", [own, *records()])


ASKED = ("--columns", "latency,params,macs", "--sort", "macs", "--digits", "2", "--own", "first")


def test_one_table_is_printed_and_exported_in_every_form(
    run: Run, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "paper").mkdir()
    exports = ("--tex", "paper/cost.tex", "--md", "cost.md", "--csv", "cost.csv")
    assert run("report", "run", *ASKED, *exports) == 0
    printed, tex = capsys.readouterr().out, (tmp_path / "paper" / "cost.tex").read_text()
    markdown = (tmp_path / "cost.md").read_text()
    rows = list(csv.DictReader((tmp_path / "cost.csv").read_text().splitlines()))
    counts = [float(row["gmacs"]) for row in rows[1:]]
    assert (rows[0]["module"], counts) == ("blocks.py:My_Block", sorted(counts))
    numbers = [f"{float(row['gmacs']):.2g}" for row in rows]
    for text, pattern in (
        (printed, r"^\S.*? +\S+ +\S+ +(\d[\d.]*)$"),
        (markdown, r"^\|.*\| \**(\d[^ |*]*)\** \|$"),
        (tex, r"^.* & .* & .* & (?:\\textbf\{)?(\d[^ }]*)\}? \\\\$"),
    ):
        shown = re.findall(pattern, text, flags=re.M)
        assert [float(number) for number in shown] == [float(number) for number in numbers]
    assert r"\textbf{My\_Block} &" in tex
    assert len(re.findall(r"~\\cite\{\w+\} &", tex)) == len(MODULES)
    assert (tmp_path / "paper" / "ctxbench.bib").read_text() == bibliography()
    assert re.search(r"Written to run: .*table\.tex, ctxbench\.bib", printed)
    assert (folder / "table.tex").read_text() == tex
    assert "Table 10" not in printed + markdown + tex


def test_without_options_the_table_on_paper_is_that_of_its_four_columns(run: Run, folder: Path) -> None:
    assert run("report", "run") == 0
    tex = (folder / "table.tex").read_text()
    assert tex.splitlines()[7] == r"module & params & MACs & memory & latency \\"
    assert tex.count(r"\begin{table}") == 1
    assert "Table 10 of the paper" in (folder / "table.md").read_text()
    with (folder / "summary.csv").open(newline="") as file:
        assert len(next(csv.DictReader(file))) > 30


def test_a_table_on_stdout_is_it_alone(
    run: Run, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("report", "run", *ASKED, "--tex", "-") == 0
    assert capsys.readouterr().out == (folder / "table.tex").read_text()
    assert not (tmp_path / "ctxbench.bib").exists()


@pytest.mark.parametrize("verb", [("report", "run"), ("profile", "se", "--out", "new")])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--columns", "params,mcas"), "no column 'mcas'; did you mean macs? There are macs, flops, "),
        (("--columns", "macs,gmacs"), "the column gmacs is asked for twice"),
        (("--sort", "speed"), "no column 'speed'"),
        (("--digits", "0"), "1 to 17 significant digits, not 0"),
        (("--own", "middle"), "'middle' is not one of 'last', 'first'"),
        (("--tex", "nowhere/x.tex"), "--tex nowhere/x.tex lies in no folder"),
        (("--tex", "-", "--md", "-"), "only one export can go to stdout"),
    ],
)
def test_what_no_table_could_show_is_refused_before_anything_is_done(
    verb: tuple[str, ...],
    options: tuple[str, ...],
    said: str,
    run: Run,
    folder: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    before = sorted(path.name for path in folder.iterdir())
    assert run(*verb, *options) == 2
    captured = capfd.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert said in captured.err
    assert sorted(path.name for path in folder.iterdir()) == before
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_profile_takes_the_same_options_and_a_resumed_run_too(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my.py").write_text(
        "from torch import nn\n\n\nclass Mine_2(nn.Conv2d):\n"
        "    def __init__(self, channels):\n        super().__init__(channels, channels, 1)\n"
    )
    small = ("--channels", "16", "--size", "8", "--budget", "0.05", "--counter", "none")
    asked = ("--columns", "macs,params", "--tex", "t.tex")
    assert run("profile", "my.py:Mine_2", "se", "cam", *small, *asked, "--sort", "params", "--out", "r") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[4:7]] == ["CAM", "SE", "Mine_2"]
    assert lines[6].split()[1:] == [f"{16 * 16 * 64 / 1e3:.1f}", "272"]
    assert r"\textbf{Mine\_2} & 16.4 & 272 \\" in (tmp_path / "t.tex").read_text()
    assert run("profile", "--resume", "r", "--columns", "params", "--csv", "-") == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [row["params"] for row in rows][-1] == "272"
    assert "gmacs" not in rows[0]
    assert run("profile", "--resume", "r", "--columns", "mcas") == 2


def test_every_built_in_paper_is_in_the_bibliography_as_its_file_has_it() -> None:
    text = bibliography()
    entries = dict(re.findall(r"^@\w+\{(\w+),\n(.*?)^\}$", text, flags=re.M | re.S))
    assert {spec.cite for spec in SPECS.values()} == set(entries)
    for spec in SPECS.values():
        fields = dict(re.findall(r"^  (\w+) += \{(.*)\},$", entries[spec.cite], flags=re.M))
        home = Path(__file__).parents[2] / "modules" / f"{spec.target.partition(':')[0].replace('.', '/')}.py"
        words = " ".join(home.read_text(encoding="utf-8").split())
        title = fields["title"].replace("{", "").replace("}", "").replace("$A^2$", "A²")
        authors = fields["author"].split(" and ")
        assert title in words
        assert ", ".join(authors) in words
        assert fields["year"] == str(spec.year)
        assert authors[0].split()[-1] == spec.paper.partition(" ")[0].rstrip(",")  # alone, or "et al."
        venue = spec.paper.rpartition(", ")[2]
        assert venue in fields.get("booktitle", fields.get("journal", ""))
