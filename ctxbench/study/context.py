"""The block of a cell: built with the cell's own seed, as a module of one map, and the channels it gives.

Torch is imported by what builds one, in the cell's own process.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from ctxbench.errors import UserError
from ctxbench.subject.bind import build_case, is_built_in
from ctxbench.subject.case import Case
from ctxbench.subject.registry import SINGLE
from ctxbench.subject.resolve import label

if TYPE_CHECKING:
    from torch import nn

NO_CONTEXT = "none"
"""Stands for a module where there is none."""


def called(module: str) -> str:
    """What a module is called; ``no context`` where there is none."""
    return "no context" if module == NO_CONTEXT else label(module)


def without_context(like: Case) -> Case:
    """The case of no context module, under the conditions of another."""
    return Case(NO_CONTEXT, like.channels, like.height, like.width, implementation=SINGLE, batch=like.batch)


def with_baseline(cases: Sequence[Case]) -> list[Case]:
    """Cases, and first of all that of no context module."""
    return [without_context(cases[0]), *cases]


def context_of(case: Case, seed: int) -> tuple[nn.Module | None, int]:
    """The block of a case, with weights from ``seed``, and the channels of its map; None and 0 without one.

    Raises UserError where it cannot be built or does not return a map of the input's height and width.
    """
    from ctxbench.subject.adapter import of_map
    from ctxbench.tracing import trace_case

    if case.module == NO_CONTEXT:
        return None, 0
    built = build_case(case, seed)
    if is_built_in(case.module):
        return built, cast(int, built.out_channels)
    block = of_map(built, case.interface)
    shape = trace_case(Case(case.module, *case.shape[1:]), subject=block).output_shape
    if len(shape) != 4 or shape[2:] != case.shape[2:]:
        raise UserError(f"it maps {case.shape} to {shape}; in a network it must keep (H, W)")
    return block, shape[1]
