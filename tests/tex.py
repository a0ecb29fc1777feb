"""LaTeX, where one is installed: tables set in the columns of three conferences."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

CLASSES = {
    # CVPR's own style is not in any distribution: its page, as its authors set it
    "CVPR": r"""\documentclass[10pt,twocolumn]{article}
\setlength{\textwidth}{6.875in}\setlength{\columnsep}{0.3125in}""",
    "IEEE": r"\documentclass[conference]{IEEEtran}",
    "NeurIPS": r"\documentclass[10pt]{article}\setlength{\textwidth}{5.5in}",
}
STYLES = {"CVPR": "plain", "IEEE": "IEEEtran", "NeurIPS": "plain"}

needs_tex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")


def typeset(folder: Path, body: str, conference: str = "CVPR") -> str:
    """Set a text with booktabs and nothing else; TeX's log, its lines unbroken.

    Skips where the class is not installed. Fails where TeX finds an error.
    """
    if conference == "IEEE" and not _find("IEEEtran.cls"):
        pytest.skip("the class IEEEtran is not installed")
    head = f"{CLASSES[conference]}\n\\usepackage{{booktabs}}\n\\begin{{document}}\nText.\n"
    (folder / "paper.tex").write_text(f"{head}{body}\n\\end{{document}}\n", encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    where = {"cwd": folder, "capture_output": True, "text": True, "errors": "replace"}
    ran = subprocess.run(command, env=_wide(), **where)  # type: ignore[call-overload]
    assert ran.returncode == 0, ran.stdout[-3000:]
    return (folder / "paper.log").read_text(encoding="latin-1")


def overfull(log: str) -> list[str]:
    """What stands out of its column."""
    return re.findall(r"^Overfull .*", log, flags=re.M)


def _find(name: str) -> str:
    return subprocess.run(["kpsewhich", name], capture_output=True, text=True).stdout.strip()


def _wide() -> dict[str, str]:
    import os

    return {**os.environ, "max_print_line": "1000"}
