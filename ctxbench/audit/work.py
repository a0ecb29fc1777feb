"""A module's work as a counter sees it: calls of leaf modules, or operations, each with what it did.

What a counter makes of it is its convention's matter: :mod:`ctxbench.audit.conventions`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import Literal, cast

from torch import Tensor, nn

from ctxbench.counters import Build
from ctxbench.counters.leaf_rule import leaf_flops, watch_leaves
from ctxbench.tracing.ops import Op, Trace

CallKind = Literal["convolution", "matmul", "norm", "activation", "softmax", "sigmoid", "pool", "other"]

# The classes of torch.nn that counters know by name, and below the operations that those classes run.
LEAVES: dict[CallKind, tuple[type[nn.Module], ...]] = {
    "convolution": (nn.modules.conv._ConvNd, nn.Linear),
    "norm": (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm),
    "activation": (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.GELU, nn.SiLU, nn.Hardswish),
    "softmax": (nn.Softmax, nn.Softmax2d, nn.LogSoftmax),
    "sigmoid": (nn.Sigmoid,),
    "pool": (
        nn.modules.pooling._MaxPoolNd,
        nn.modules.pooling._AvgPoolNd,
        nn.modules.pooling._AdaptiveAvgPoolNd,
        nn.modules.pooling._AdaptiveMaxPoolNd,
    ),
}
"""Leaf classes that counters know; a class called ``MatMul`` is a matrix product, any other is ``other``."""

OPERATIONS: dict[str, CallKind] = {
    **dict.fromkeys(("convolution", "_convolution"), "convolution"),
    **dict.fromkeys(("native_batch_norm", "_native_batch_norm_legit_no_training"), "norm"),
    **dict.fromkeys(("native_group_norm", "native_layer_norm"), "norm"),
    **dict.fromkeys(("relu", "hardtanh", "leaky_relu", "_prelu_kernel"), "activation"),
    **dict.fromkeys(("gelu", "silu", "hardswish"), "activation"),
    **dict.fromkeys(("_softmax", "_log_softmax"), "softmax"),
    "sigmoid": "sigmoid",
    **dict.fromkeys(("_adaptive_avg_pool2d", "adaptive_max_pool2d", "avg_pool2d", "mean"), "pool"),
    "max_pool2d_with_indices": "pool",
}


@dataclass(frozen=True)
class Call:
    """One call of a leaf module or an operation. All numbers are counts of elements or of MACs.

    ``read`` and ``written`` are elements of the first input and of the output; ``biased`` are the outputs a
    bias is added to, ``sampled`` those for each index of the first dimension (which some modules fold H or W
    into), ``windowed`` what the leaf rule makes of a pooling, ``has_weights`` whether the leaf has parameters
    of its own.
    """

    path: str
    kind: CallKind
    macs: int
    biased: int
    read: int
    written: int
    sampled: int
    windowed: int
    has_weights: bool


def of_operations(trace: Trace) -> list[Call]:
    """The forward operations of a trace that are neither views nor movement of data."""
    return [
        _operation(op) for op in trace.ops if op.phase == "forward" and op.kind in ("product", "elementwise")
    ]


def _operation(op: Op) -> Call:
    name = op.name.split(".")[1].rstrip("_")
    kind: CallKind = OPERATIONS.get(name, "matmul" if op.kind == "product" else "other")
    read, written = prod(op.inputs[0]), prod(op.outputs[0])
    return Call(
        path=op.module,
        kind=kind,
        macs=op.macs,
        biased=written if op.kind == "product" and op.elementwise == written else 0,
        read=op.elementwise if kind == "pool" else read,
        written=op.elementwise if kind == "other" else written,
        sampled=prod(op.outputs[0][1:]),
        windowed=op.elementwise if kind == "pool" else 0,
        has_weights=False,
    )


class Watched:
    """A build whose module notes the calls of its leaves: one pass then shows operations and leaves.

    Whoever builds again, as :func:`ctxbench.tracing.trace` does for a module that cannot run among fake
    tensors, starts again: ``calls`` are of the module that was built last.
    """

    def __init__(self, build: Build) -> None:
        self.build = build
        self.seen: list[Call | None] = []

    def __call__(self) -> nn.Module:
        """Build the module, watched."""
        self.seen.clear()
        module = self.build()
        watch_leaves(module, _leaf, self.seen)
        return module

    @property
    def calls(self) -> list[Call]:
        """Every call of a leaf that took and returned tensors, in order."""
        return [call for call in self.seen if call is not None]


def last_calls(calls: Iterable[Call]) -> list[Call]:
    """The last call of each leaf, in the order of their first calls."""
    return list({call.path: call for call in calls}.values())


def _leaf(path: str, leaf: nn.Module, inputs: list[Tensor], out: Tensor) -> Call | None:
    if not inputs:
        return None
    kind: CallKind = next((kind for kind, classes in LEAVES.items() if isinstance(leaf, classes)), "other")
    macs = 0
    if type(leaf).__name__ == "MatMul":
        kind, macs = "matmul", inputs[0].numel() * inputs[1].shape[-1]
    elif kind == "convolution":
        moved = inputs[0] if getattr(leaf, "transposed", False) else out
        macs = moved.numel() * prod(cast(Tensor, leaf.weight).shape[1:])
    return Call(
        path=path,
        kind=kind,
        macs=macs,
        biased=out.numel() if kind == "convolution" and leaf.bias is not None else 0,
        read=inputs[0].numel(),
        written=out.numel(),
        sampled=prod(out.shape[1:]),
        windowed=leaf_flops(leaf, inputs, out) if kind == "pool" else 0,
        has_weights=next(leaf.parameters(recurse=False), None) is not None,
    )
