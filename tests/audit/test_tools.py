"""The rules of counters by name against the numbers that the counters themselves give."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from audit.networks import Layers
from torch import nn

from ctxbench.audit.counting.aspects import FLOPS
from ctxbench.audit.counting.conventions import value_of
from ctxbench.audit.counting.tools import TOOLS
from ctxbench.audit.runs import Run

NETWORK = f"{Path(__file__).with_name('networks.py')}:Layers"
SHAPE = (1, 3, 32, 24)


def by_thop(network: nn.Module, x: torch.Tensor) -> int:
    return int(importlib.import_module("thop").profile(network, (x,), verbose=False)[0])


def by_fvcore(network: nn.Module, x: torch.Tensor) -> int:
    analysis = importlib.import_module("fvcore.nn").FlopCountAnalysis(network, (x,))
    return int(analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total())


def seen_as(tool: str) -> int | None:
    rule = TOOLS[tool]
    seen = Run(NETWORK, SHAPE, "single").seen_by_view(training=False)[rule.view]
    return value_of(rule.treatments, FLOPS, seen)


@pytest.mark.parametrize(("tool", "count"), [("thop", by_thop), ("fvcore", by_fvcore)])
def test_a_tools_rule_is_what_the_tool_counts(
    tool: str, count: Callable[[nn.Module, torch.Tensor], int]
) -> None:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        assert seen_as(tool) == count(Layers().eval(), torch.zeros(SHAPE))


@pytest.mark.parametrize(("tool", "recorded"), [("ptflops or mmcv", 442_384), ("torchprofile", 546_816)])
def test_a_tools_rule_is_what_the_tool_counted(tool: str, recorded: int) -> None:
    """ptflops 0.6.9 and torchprofile 0.1.0, which are not installed here, gave these for the same network."""
    assert seen_as(tool) == recorded


@pytest.mark.parametrize("tool", sorted(TOOLS))
def test_a_tools_rule_names_treatments_that_there_are(tool: str) -> None:
    for aspect, words in TOOLS[tool].treatments.items():
        assert words in {treatment.words for treatment in FLOPS[aspect]}
