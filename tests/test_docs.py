"""Pages that follow from the code are as the code is now."""

import importlib.util
from pathlib import Path

import pytest
from typer import Typer

ROOT = Path(__file__).resolve().parent.parent
_spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
generate = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(generate)


@pytest.mark.parametrize("page", list(generate.PAGES), ids=lambda path: path.name)
def test_generated_pages_are_fresh(page: Path) -> None:
    assert page.read_text(encoding="utf-8") == generate.PAGES[page](), "run: python docs/generate.py"


def test_every_command_is_in_the_reference() -> None:
    from ctxbench.cli import app

    def names(application: Typer, prefix: str = "") -> set[str]:
        families = (
            names(family.typer_instance, f"{family.name} ") for family in application.registered_groups
        )
        own = {f"{prefix}{c.name or c.callback.__name__}" for c in application.registered_commands}
        return own.union(*families)

    assert names(app) == set(generate.VERBS)
