"""Other counters' opinions, kept beside ours: one function each, all reporting MACs in 10⁹.

A counter takes a function that builds the module, an input shape (N, C, H, W), our own trace of that in
float32 (which says what it would take to run, and what a count is to be held against), and how the module is
called, and returns
``{"gmacs": float | None, "missed": {operation: calls}, "elementwise": {operation: calls}, "reason": str}``:
``missed`` are products by our count that got nothing by theirs, ``elementwise`` other arithmetic that did
not, each the most expensive first; ``reason`` says why ``gmacs`` is None.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ctxbench.counters.answer import refusal
from ctxbench.errors import UserError, in_one_line
from ctxbench.subject.interface import PLAIN, Interface

if TYPE_CHECKING:
    from torch import nn

    from ctxbench.tracing.ops import Trace

Build = Callable[[], "nn.Module"]
Shape = tuple[int, int, int, int]


MODULES = {
    "fvcore": "fvcore",
    "thop": "thop",
    "torch": "flop_counter_mode",
    "ptflops": "ptflops",
    "torchinfo": "torchinfo",
}
"""Counter to the module of this package that calls it. ``ptflops`` and ``torchinfo`` are extras."""


def _count(
    name: str, build: Build, shape: Shape, recorded: Trace, interface: Interface = PLAIN
) -> dict[str, Any]:
    try:
        count_macs = import_module(f"{__name__}.{MODULES[name]}").count_macs
        counted: dict[str, Any] = count_macs(build, shape, recorded, interface)
    except (Exception, SystemExit) as error:  # another library, on a user's module, may raise anything at all
        return refusal(in_one_line(error))
    return counted


COUNTERS: dict[str, Callable[..., dict[str, Any]]] = {name: partial(_count, name) for name in MODULES}

DEFAULT = ("fvcore", "thop", "torch")

LEAF_RULE = "leaf_rule"
"""Key of what :mod:`ctxbench.counters.leaf_rule` counts, beside the counters' in a record. It is our own
program, and no other library's opinion: FLOPs and bytes by a rule that papers have printed."""


def available(name: str) -> bool:
    """Whether the library behind a counter is installed."""
    return find_spec(name) is not None


def installed(names: str | Sequence[str]) -> tuple[str, ...]:
    """The counters of these names. Raises UserError for one that is unknown, or whose library is missing."""
    chosen = (names,) if isinstance(names, str) else tuple(names)
    for name in chosen:
        if name not in COUNTERS:
            raise UserError(f"unknown counter {name!r}; one of {', '.join(COUNTERS)}, or none")
        if not available(name):
            raise UserError(f"the counter {name} is not installed: pip install 'ctxbench[counters]'")
    return chosen
