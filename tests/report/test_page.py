"""A run's page, read as HTML and opened in a browser."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from browser import Reader, opened
from synthetic import record, records, write_run

from ctxbench.report.columns import columns
from ctxbench.report.page import PAGE
from ctxbench.report.run import load_run, write_report

ODD = "a <b>&\"'` block"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    gone = record("afnb", 32, 32, status="oom", reason=f"in {ODD}", rounds_ms=[], alloc_bytes=None)
    lacking = record("emau", unknown_ops={"mine::double": 2})
    users = record("a2net")
    users = replace(users, case=replace(users.case, module=f"/home/me/{ODD}.py:Block", options={"x": ODD}))
    run = write_run(tmp_path_factory.mktemp("runs") / "run", [*records(16, 16), gone, lacking, users])
    assert run / PAGE in write_report(load_run(run))
    return run / PAGE


def test_it_is_whole_and_points_at_nothing_outside(page: Path, tmp_path: Path) -> None:
    alone = shutil.copy(page, tmp_path)  # it needs none of the files that were written beside it
    read = Reader(Path(alone).read_text())
    assert not read.open
    assert len(read.ids) == len(set(read.ids))
    assert [link for link in read.links if not link.startswith(("#", "data:"))] == []
    assert {link[1:] for link in read.links if link.startswith("#")} <= set(read.ids)


def test_it_has_every_column_of_every_record_and_the_samples_themselves(page: Path) -> None:
    text = page.read_text()
    run = load_run(page.parent)
    cases = text.partition('<section id="machine">')[0].split('<details class="case">')[1:]
    assert len(cases) == len(run.records)
    for case, one in zip(cases, run.records, strict=True):
        facts = dict(re.findall(r"<dt>(.*?) ?</dt><dd>(.*?)</dd>", case))
        for column in columns(run.records):
            name = f"{column.header} {column.part}".strip()
            assert (name in facts) == (column.text(one) is not None or column.why is not None), name
        assert facts["C"] == str(one.case.channels)
        samples = [[float(x) for x in line.split(", ")] for line in re.findall(r"<li>(.*?)</li>", case)]
        assert samples == [pytest.approx(taken, rel=5e-4) for taken in one.rounds_ms]
    lost = next(case for case, one in zip(cases, run.records, strict=True) if one.status == "oom")
    assert "<dd>– in a &lt;b&gt;&amp;&#34;" in lost
    for part in ("not counted: mine::double ×2", "≥ ", "Synthetic CPU", "gemm_gflops 180.0", "MACs of the"):
        assert part in text


def test_its_figures_are_in_it(page: Path) -> None:
    figures = [path.stem for path in page.parent.glob("*.svg") if path.stem != "table"]
    labels = re.findall(r'<svg [^>]*aria-label="([^"]*)"', page.read_text())
    assert sorted(labels) == sorted(figures) != []


def test_it_sorts_and_opens_on_a_click_and_fits_a_phone(page: Path, tmp_path: Path) -> None:
    script = """
      const table = document.querySelector("table");
      const heading = [...table.querySelectorAll("th[data-column]")].find(
        (th) => th.querySelector("button").ariaLabel === "MACs as run (G)");
      const values = () => [...table.tBodies].map(
        (body) => [...body.rows].filter((row) => row.cells[0].scope !== "rowgroup")
          .map((row) => row.cells[heading.dataset.column].dataset.value));
      const press = () => { heading.querySelector("button").click(); return values(); };
      const [before, up, down] = [values(), press(), press()];
      const [box, inner] = document.querySelectorAll("details");
      const seen = () => inner.querySelector("li").checkVisibility();
      const closed = [box.open, seen()];
      box.querySelector("summary").click();
      inner.querySelector("summary").click();
      return {
        before, up, down, closed, opened: [box.open, seen()],
        overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
      };
    """
    told = opened(page, script, tmp_path)
    assert told["errors"] == []
    assert told["asked"] == []
    before = told["before"]
    assert isinstance(before, list)
    assert told["up"] == [sorted(group, key=float) for group in before] != before
    assert told["down"] == [sorted(group, key=float, reverse=True) for group in before]
    assert (told["closed"], told["opened"]) == ([False, False], [True, True])
    assert told["overflow"] == 0


def test_a_request_would_be_seen(page: Path, tmp_path: Path) -> None:
    """So that the two empty lists above say something."""
    copy = tmp_path / "asking.html"
    beside = '<img src="nowhere.png"><script>console.error("odd")</script>'
    copy.write_text(page.read_text().replace("<main>", f"<main>{beside}"))
    told = opened(copy, "return {}", tmp_path)
    assert "odd" in str(told["errors"])
    assert told["asked"] == ["file"]
