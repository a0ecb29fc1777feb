"""Pages that follow from the code are as the code is now."""

import importlib.util
import re
from pathlib import Path

import pytest
from typer import Typer

from ctxbench.paper.ledger import RULE
from ctxbench.paper.printed import claims
from ctxbench.table.markdown import escape

ROOT = Path(__file__).resolve().parent.parent
_spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
generate = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(generate)


@pytest.mark.parametrize("page", list(generate.PAGES), ids=lambda path: str(path.relative_to(ROOT)))
def test_generated_pages_are_fresh(page: Path) -> None:
    assert page.read_text(encoding="utf-8") == generate.PAGES[page](), "run: python docs/generate.py"


def test_the_readme_leads_to_the_ledger_which_says_its_rule_before_its_rows() -> None:
    assert "[the ledger](docs/ledger.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
    text = (ROOT / "docs" / "ledger.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ")][2:]
    assert [row.split(" | ")[0] for row in rows] == [f"| {escape(each['words'])}" for each in claims()]
    assert text.index(escape(RULE)) < text.index(rows[0])


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
