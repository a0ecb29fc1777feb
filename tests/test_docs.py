"""Pages that follow from the code are as the code is now."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
_spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
generate = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(generate)


@pytest.mark.parametrize("page", list(generate.PAGES), ids=lambda path: path.name)
def test_generated_pages_are_fresh(page: Path) -> None:
    assert page.read_text(encoding="utf-8") == generate.PAGES[page](), "run: python docs/generate.py"


def test_every_command_is_in_the_reference() -> None:
    from ctxbench.cli import app

    names = {command.name or command.callback.__name__ for command in app.registered_commands}
    assert names == set(generate.VERBS)
