"""Parameters and multiplications of the modules, equal to closed forms of C, H, W and n = H·W.

``closed_forms.csv`` has a row for a module and its options: its parameters, the multiplications of its
published (or single) form, and of its fast form where that takes fewer; published ones are those counted on
the authors' modules.
"""

import csv
import json
from pathlib import Path

import pytest

from ctxbench.subject import bind
from ctxbench.subject.registry import SPECS
from ctxbench.tracing import trace, views

with Path(__file__).with_name("closed_forms.csv").open(encoding="utf-8", newline="") as file:
    ROWS = list(csv.DictReader(file))
C = 512


@pytest.mark.parametrize("size", [(64, 64), (32, 48)], ids=str)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['name']}{row['options']}")
def test_counts_are_the_closed_forms(row: dict[str, str], size: tuple[int, int]) -> None:
    height, width = size
    known = {"C": C, "H": height, "W": width, "n": height * width}
    params, macs, folded = (
        eval(row[key] or row["macs"], {"__builtins__": {}}, known) for key in ("params", "macs", "folded")
    )
    expected = {"single": macs, "published": macs, "fast": folded}
    for form in SPECS[row["name"]].forms:
        module = bind.build(row["name"], C, size, form, **json.loads(row["options"]))
        assert sum(p.numel() for p in module.parameters()) == params
        assert views.macs(trace(module, (1, C, *size))) == expected[form]
