"""What the paper prints, as data: numbers are text, since their decimals are part of what was printed.

Table 2 holds RecoNet's own rows only: the other rows of the copy it was taken from have lost their names.
"""

import csv
from functools import cache
from importlib.resources import files


@cache
def rows(table: int) -> tuple[dict[str, str], ...]:
    """Table 1 to 10's rows by column name, as printed; an empty text is an empty cell."""
    return _read(f"table{table}")


@cache
def claims() -> tuple[dict[str, str], ...]:
    """What the paper's text claims about cost: a name for each claim, its section, its words."""
    return _read("claims")


def plain_name(network: str) -> str:
    """A network's name as it is registered, from the way the paper writes it: DeepLabV3+, RecoNet."""
    return network.lower().replace("+", "plus")


def _read(name: str) -> tuple[dict[str, str], ...]:
    text = files("ctxbench.paper.printed").joinpath(f"{name}.csv").read_text(encoding="utf-8")
    return tuple(csv.DictReader(text.splitlines()))
