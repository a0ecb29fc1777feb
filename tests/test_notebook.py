"""The notebook of docs, run from its first cell to its last as a reader would."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat")
for needed in ("nbclient", "ipykernel"):
    pytest.importorskip(needed)

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parent.parent
_spec = importlib.util.spec_from_file_location("notebook", ROOT / "docs" / "notebook.py")
notebook = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(notebook)


def texts(cell: Any) -> list[str]:
    return [output["data"]["text/plain"] for output in cell.outputs if "data" in output]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("notebook")


@pytest.fixture(scope="module")
def ran(folder: Path) -> Any:
    return notebook.executed(folder)


def test_every_cell_shows_one_thing_and_complains_of_nothing(ran: Any) -> None:
    cells = [cell for cell in ran.cells if cell.cell_type == "code" and cell.source != "import ctxbench"]
    assert len(cells) > 6
    for cell in cells:
        kinds = [output.output_type for output in cell.outputs]
        assert kinds in ([], ["execute_result"]), cell.source
        assert kinds or "class " in cell.source
        if any(
            f"ctxbench.{verb}(" in cell.source.splitlines()[-1] for verb in ("count", "explain", "compare")
        ):
            assert ".macs" in cell.source or "<table" in cell.outputs[0]["data"]["text/html"]


def test_the_class_of_a_cell_was_measured(ran: Any, folder: Path) -> None:
    summary = (folder / "runs" / "first" / "summary.csv").read_text().splitlines()
    assert re.match(rf"{folder}/cache/ctxbench/cells/Gate_[0-9a-f]{{12}}\.py:Gate,single", summary[1])
    assert "ok" in summary[1] or "noisy" in summary[1]


def test_what_the_page_shows_is_what_comes_out(ran: Any) -> None:
    """The counts, that is: a peak may be another torch's. Of what was measured it shows nothing."""
    page = nbformat.read(notebook.PAGE, as_version=4)
    shown = 0
    for stored, cell in zip(page.cells, ran.cells, strict=True):
        if stored.cell_type == "code" and notebook.measures(stored):
            assert stored.outputs == []
        elif stored.cell_type == "code":
            before, now = (
                re.sub(r"peak\s+in inference [\d.]+", "", " ".join(texts(one))) for one in (stored, cell)
            )
            assert before == now, "run: python docs/notebook.py"
            shown += bool(before)
    assert shown >= 5
