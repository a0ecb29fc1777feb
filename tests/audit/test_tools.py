"""The rules of counters by name against the numbers that the counters themselves give."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from audit.networks import Gated, Layers
from torch import nn

from ctxbench.audit.counting.aspects import FLOPS
from ctxbench.audit.counting.conventions import value_of
from ctxbench.audit.counting.tools import TOOLS
from ctxbench.audit.runs import Run

HERE = Path(__file__).parent
SHAPE = (1, 3, 32, 24)
NETWORKS = {"Layers": Layers, "Gated": Gated}


def by_thop(network: nn.Module, x: torch.Tensor) -> int:
    return int(importlib.import_module("thop").profile(network, (x,), verbose=False)[0])


def by_fvcore(network: nn.Module, x: torch.Tensor) -> int:
    analysis = importlib.import_module("fvcore.nn").FlopCountAnalysis(network, (x,))
    return int(analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total())


def seen_as(tool: str, network: str) -> int | None:
    rule = TOOLS[tool]
    run = Run(f"{HERE / 'networks.py'}:{network}", SHAPE, "single")
    return value_of(rule.treatments, FLOPS, run.seen_by_view(training=False)[rule.view])


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(("tool", "count"), [("thop", by_thop), ("fvcore", by_fvcore)])
def test_a_tools_rule_is_what_the_tool_counts(
    tool: str, count: Callable[[nn.Module, torch.Tensor], int], network: str
) -> None:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        assert seen_as(tool, network) == count(NETWORKS[network]().eval(), torch.zeros(SHAPE))


@pytest.mark.parametrize(
    ("tool", "of_layers", "of_gated"),
    [
        ("ptflops or mmcv", 442_384, 411_930),
        ("torchprofile", 546_816, 378_128),
        ("thop before 0.1", 420_864, 375_072),
    ],
)
def test_a_tools_rule_is_what_the_tool_counted(tool: str, of_layers: int, of_gated: int) -> None:
    """ptflops 0.6.9, torchprofile 0.0.4 (and 0.1.0) and thop 0.0.31, not installed here, gave these."""
    assert (seen_as(tool, "Layers"), seen_as(tool, "Gated")) == (of_layers, of_gated)


@pytest.mark.parametrize("tool", sorted(TOOLS))
def test_a_tools_rule_names_treatments_that_there_are(tool: str) -> None:
    for aspect, words in TOOLS[tool].treatments.items():
        assert words in {treatment.words for treatment in FLOPS[aspect]}
