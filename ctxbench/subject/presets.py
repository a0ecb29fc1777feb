"""Presets: named lists of modules with their options. Papers offer them; see :mod:`ctxbench.shelf`.

A name alone always builds a module with the defaults of its own paper; under a preset it is built as that
preset says. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ctxbench import shelf
from ctxbench.errors import UserError

NOTHING: Mapping[str, Any] = {}
"""A plain dict, since it goes into cases, and a mapping proxy can be neither copied nor written."""


class Row(NamedTuple):
    """One module of a preset.

    ``options`` gives its options from the input's channels C, since widths often follow them.
    ``rule_options`` are further ones, under which the leaf rule alone counts it, where a printed number fits
    another configuration than the block that is measured (:attr:`ctxbench.subject.case.Case.rule_options`).
    """

    module: str
    options: Callable[[int], Mapping[str, Any]]
    rule_options: Mapping[str, Any] = NOTHING


class Preset(NamedTuple):
    """A named list of modules. ``title`` says in a few words what it is."""

    name: str
    title: str
    rows: tuple[Row, ...]

    def row(self, module: str) -> Row:
        """The row of a module. Raises UserError where the preset has none."""
        for row in self.rows:
            if row.module == module:
                return row
        have = ", ".join(row.module for row in self.rows)
        raise UserError(f"the preset {self.name} has no {module!r}; it has {have}")


def presets() -> dict[str, Preset]:
    """Every preset by name, as the papers on the shelf offer them."""
    return {preset.name: preset for offer in shelf.offers("presets") for preset in offer}


def preset(name: str) -> Preset:
    """The preset of that name. Raises UserError where there is none."""
    known = presets()
    if name not in known:
        raise UserError(f"no preset named {name!r}; presets: {', '.join(known) or 'none'}")
    return known[name]


def default() -> Preset:
    """What is profiled where no subject is named: the first preset. Raises UserError where there is none."""
    first = next(iter(presets().values()), None)
    if first is None:
        raise UserError("name a module or a file to profile: no paper with a preset is installed")
    return first
