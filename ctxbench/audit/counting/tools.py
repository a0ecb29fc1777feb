"""The rules of counters by name: what each looks at, and its treatment of each aspect that it counts.

Held against the numbers that thop 0.1.1 and 0.0.31, fvcore 0.1.5, ptflops 0.6.9 and torchprofile 0.0.4 give
(``tests/audit/test_tools.py``); mmcv's counter began as ptflops' and has its rule. Not told apart are group
norms from layer norms, and an adaptive pooling, of which thop and fvcore count each element that it reads. A
rule that is known by its name is one deviation from plain counting, however many treatments it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

OPERATIONS = "every operation is seen, functional ones too"
EVERY_CALL = "leaf modules alone are seen, every call"
LAST_CALL = "leaf modules alone are seen, the last call of each"
VIEWS = {OPERATIONS: 0, EVERY_CALL: 1, LAST_CALL: 2}
"""What a counter looks at, its view, and how many deviations that is."""


class Tool(NamedTuple):
    """A counter's rule: its view, and by aspect the words of its treatment; others are not counted.

    ``deviations`` are those from plain counting, the view's among them.
    """

    view: str
    treatments: Mapping[str, str]
    deviations: int = 1

    @property
    def is_of_macs(self) -> bool:
        """Whether each MAC is one operation, which a paper may double."""
        return "2 per MAC" not in self.treatments["products"]


LEAF_RULE = {
    "products": "MACs of convolutions, 2 per MAC of matrix products",
    "bias": "1 per biased output",
    "norm": "2 per element of a batch norm",
    "activation": "1 per element of a ReLU",
    "pool": "a pooling's window and one for each output",
}
"""The arithmetic of :mod:`ctxbench.counters.leaf_rule`."""
LEAF_RULE_MEMORY = {"held": "outputs of the leaf modules, first dimension left out"}
_MACS = {"products": "MACs of convolutions and matrix products"}
_LAYERS = {"products": "MACs of convolutions, matrix products not counted"}
_HOOKS = {
    "bias": "1 per biased output, a linear layer's bias once",
    "norm": "2 per element of a batch norm",
    "activation": "1 per element of a ReLU",
    "pool": "1 per element read by a pooling",
}

TOOLS: Mapping[str, Tool] = {
    "thop": Tool(
        EVERY_CALL,
        {
            **_LAYERS,
            "norm": "4 per element of a norm",
            "pool": "1 per element written by an average pooling",
            "softmax": "3 per element of a soft-max",
        },
    ),
    "thop before 0.1": Tool(
        EVERY_CALL,
        {
            **_LAYERS,
            "bias": "1 per output of a biased convolution",
            "norm": "2 per element of a batch norm",
            "pool": "1 per element written by an average pooling",
        },
    ),
    "ptflops or mmcv": Tool(EVERY_CALL, {**_LAYERS, **_HOOKS}),
    "ptflops or mmcv with products": Tool(OPERATIONS, {**_MACS, **_HOOKS}),
    "mmcv that sees layer norms": Tool(EVERY_CALL, {**_LAYERS, **_HOOKS, "norm": "2 per element of a norm"}),
    "mmcv that sees layer norms, with products": Tool(
        OPERATIONS, {**_MACS, **_HOOKS, "norm": "2 per element of a norm"}
    ),
    "the leaf rule": Tool(LAST_CALL, LEAF_RULE, deviations=2),
    "torchprofile": Tool(
        OPERATIONS,
        {
            **_MACS,
            "norm": "1 per element of a norm",
            "resize": "4 per resized element",
            "pool": "1 per element written by an average pooling",
            "other": "1 per element of an element-wise product",
        },
    ),
    "fvcore": Tool(
        OPERATIONS,
        {
            **_MACS,
            "norm": "2 per element of a batch norm, 5 of another norm",
            "resize": "4 per resized element",
        },
    ),
}
"""By the tool's name."""

COUNTERS = ("thop", "ptflops", "mmcv", "torchprofile", "fvcore")
"""As a paper writes the names of tools."""
