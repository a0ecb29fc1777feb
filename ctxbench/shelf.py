"""Papers on the shelf: what a paper adds to the tool, found by entry point and loaded when something asks.

A paper is an entry point of the group ``ctxbench.papers`` whose value is a mapping: from the kind of an
offer to where it stands, ``package.module:attribute``. Nothing in ctxbench imports a paper; each room asks
the shelf for the offers of its own kind, and says there what such an offer is:

===================== =========================================================================
``presets``           named lists of cases: :mod:`ctxbench.subject.presets`
``record_extra``      columns and notes beside records: :mod:`ctxbench.report.columns`
``record_sheets``     further tables under those of records: :mod:`ctxbench.report.tables`
``class_extra``       columns and notes beside classes: :mod:`ctxbench.evaluate.evaluation`
``evaluation_sheets`` tables of scores beside others: :mod:`ctxbench.evaluate.evaluation`
``network_extra``     columns and notes beside whole networks: :mod:`ctxbench.networks.cost`
``training_presets``  settings of trainings: :mod:`ctxbench.train.presets`
===================== =========================================================================

Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

GROUP = "ctxbench.papers"


def offers(kind: str) -> list[Any]:
    """What the papers offer of a kind, in the order of their names."""
    papers = installed()
    return [_loaded(papers[name][kind]) for name in sorted(papers) if kind in papers[name]]


@cache
def installed() -> dict[str, Mapping[str, str]]:
    """The papers of all installed packages: by name, the kinds of offers and where each stands."""
    from importlib.metadata import entry_points

    return {point.name: point.load() for point in entry_points(group=GROUP)}


@cache
def _loaded(place: str) -> Any:
    from importlib import import_module

    module, _, attribute = place.partition(":")
    return getattr(import_module(module), attribute)
