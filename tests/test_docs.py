"""Pages that follow from the code are as the code is now."""

import csv
import importlib.util
import re
from pathlib import Path

import pytest
from typer import Typer

from ctxbench.table.markdown import escape

ROOT = Path(__file__).resolve().parent.parent
_spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
generate = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(generate)


@pytest.mark.parametrize("page", list(generate.PAGES), ids=lambda path: str(path.relative_to(ROOT)))
def test_generated_pages_are_fresh(page: Path) -> None:
    assert page.read_text(encoding="utf-8") == generate.PAGES[page](), "run: python docs/generate.py"


def test_the_readmes_claims_are_those_of_the_ledger() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = text.partition(generate.LEDGER[0])[2].partition(generate.LEDGER[1])[0].splitlines()
    shown = [line.strip("| ").split(" | ") for line in lines if line][2:]
    with (ROOT / "reports" / "paper" / "ledger.csv").open(encoding="utf-8") as file:
        ledger = list(csv.DictReader(file))
    names = ("words", "section", "printed", "measured", "verdict")
    assert shown == [[escape(row[name]) for name in names] for row in ledger]


PAGES = [
    *ROOT.glob("*.md"),
    *(page for place in ("docs", "modules", "reports") for page in ROOT.glob(f"{place}/**/*.md")),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    places = [link.partition("#")[0] for link in links if "://" not in link and not link.startswith("#")]
    assert [place for place in places if not (page.parent / place).exists()] == []


PLACE = re.compile(r"(?<![\w./-])(?:ctxbench|modules|tests|docs|reports)/[\w./-]*")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_place_in_this_repository_that_a_page_names_is_there(page: Path) -> None:
    """Beside links: a path in code marks or in prose. `NAME` stands for a name that the reader gives."""
    named = {place.rstrip(".") for place in PLACE.findall(page.read_text(encoding="utf-8"))}
    assert sorted(place for place in named if "NAME" not in place and not (ROOT / place).exists()) == []


def test_every_command_is_in_the_reference() -> None:
    from ctxbench.cli import app

    def names(application: Typer, prefix: str = "") -> set[str]:
        families = (
            names(family.typer_instance, f"{family.name} ") for family in application.registered_groups
        )
        own = {f"{prefix}{c.name or c.callback.__name__}" for c in application.registered_commands}
        return own.union(*families)

    assert names(app) == set(generate.VERBS)
