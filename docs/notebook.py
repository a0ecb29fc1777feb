"""Run ``docs/first-steps.ipynb``, and keep its outputs in it, but for what is of the machine at hand.

``python docs/notebook.py`` does so; ``tests/test_notebook.py`` runs it too, and fails where an output that is
kept is not what comes out.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

PAGE = Path(__file__).resolve().parent / "first-steps.ipynb"
MEASURING = ("ctxbench.profile(", "ctxbench.compare(")


def executed(folder: Path) -> Any:
    """The notebook after every cell was run, in ``folder``. What a cell raises comes through."""
    notebook = nbformat.read(PAGE, as_version=4)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "XDG_CACHE_HOME": str(folder / "cache"),
    }
    where = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=300, resources=where, record_timing=False).execute(env=environment)
    return notebook


def measures(cell: Any) -> bool:
    """Whether a cell's output is another each time."""
    return any(call in cell.source for call in MEASURING)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        run = executed(Path(place))
    run.metadata.pop("widgets", None)
    run.metadata.language_info = {"name": "python"}  # not the version that happened to run it
    for cell in run.cells:
        if cell.cell_type == "code" and measures(cell):
            cell.outputs = []
    nbformat.write(run, PAGE)
