"""A module's work as a counter sees it: calls of leaf modules, or operations, each with what it did.

What a counter makes of it is its convention's matter: :mod:`ctxbench.audit.counting.conventions`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal, NamedTuple, cast

from torch import Tensor, nn

from ctxbench.counters import Build
from ctxbench.counters.leaf_rule import leaf_flops, watch_leaves
from ctxbench.tracing.ops import Op, Trace

CallKind = Literal[
    "convolution", "matmul", "batch norm", "norm", "ReLU", "activation",
    "softmax", "sigmoid", "pool", "max pool", "resize", "multiplication", "other",
]  # fmt: skip
"""What a call is to counters; ``norm``, ``activation``, ``pool`` are any but what has a name of its own."""

# The classes of torch.nn that counters know by name, and below the operations that those classes run.
LEAVES: dict[CallKind, tuple[type[nn.Module], ...]] = {
    "convolution": (nn.modules.conv._ConvNd, nn.Linear),
    "batch norm": (nn.modules.batchnorm._NormBase,),
    "norm": (nn.GroupNorm, nn.LayerNorm),
    "ReLU": (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU),
    "activation": (nn.GELU, nn.SiLU, nn.Hardswish),
    "resize": (nn.Upsample,),
    "softmax": (nn.Softmax, nn.Softmax2d, nn.LogSoftmax),
    "sigmoid": (nn.Sigmoid,),
    "pool": (nn.modules.pooling._AvgPoolNd, nn.modules.pooling._AdaptiveAvgPoolNd),
    "max pool": (nn.modules.pooling._MaxPoolNd, nn.modules.pooling._AdaptiveMaxPoolNd),
}
"""Leaf classes that counters know; a class called ``MatMul`` is a matrix product, any other is ``other``."""
POOLS: tuple[CallKind, ...] = ("pool", "max pool")

OPERATIONS: dict[str, CallKind] = {
    **dict.fromkeys(("convolution", "_convolution"), "convolution"),
    **dict.fromkeys(("native_batch_norm", "_native_batch_norm_legit_no_training"), "batch norm"),
    **dict.fromkeys(("native_group_norm", "native_layer_norm"), "norm"),
    **dict.fromkeys(("relu", "hardtanh", "leaky_relu", "_prelu_kernel"), "ReLU"),
    **dict.fromkeys(("gelu", "silu", "hardswish"), "activation"),
    **dict.fromkeys(("_softmax", "_log_softmax"), "softmax"),
    "sigmoid": "sigmoid",
    **dict.fromkeys(("_adaptive_avg_pool2d", "avg_pool2d", "mean"), "pool"),
    **dict.fromkeys(("max_pool2d_with_indices", "adaptive_max_pool2d"), "max pool"),
    "mul": "multiplication",
    **dict.fromkeys(("upsample_bilinear2d", "_upsample_bilinear2d_aa", "upsample_bicubic2d"), "resize"),
    **dict.fromkeys(("upsample_nearest2d", "_upsample_nearest_exact2d"), "resize"),
}


@dataclass(frozen=True)
class Call:
    """One call of a leaf module or an operation. All numbers are counts of elements or of MACs.

    ``read`` and ``written`` are elements of the first input and of the output; ``biased`` are the outputs a
    bias is added to, ``linear_bias`` the bias's own elements where that is a linear layer's; ``sampled``
    are outputs for each index of the first dimension (which some modules fold H or W into), ``windowed`` is
    what the leaf rule makes of a pooling, and what a resizing does; ``has_weights`` says whether the leaf has
    parameters of its own, ``parameters`` how many a norm has.
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
    linear_bias: int = 0
    parameters: int = 0


def of_operations(trace: Trace, linear: Mapping[str, int]) -> list[Call]:
    """The forward operations of a trace that are neither views nor movement of data.

    ``linear`` are the paths of linear layers, whose products are a convolution's, each with its bias's size.
    """
    return [
        _operation(op, linear)
        for op in trace.ops
        if op.phase == "forward" and op.kind in ("product", "elementwise")
    ]


def _operation(op: Op, linear: Mapping[str, int]) -> Call:
    name = op.name.split(".")[1].rstrip("_")
    kind: CallKind = OPERATIONS.get(name, "matmul" if op.kind == "product" else "other")
    of_linear = kind == "matmul" and op.module in linear
    if of_linear:
        kind = "convolution"
    read, written = prod(op.inputs[0]), prod(op.outputs[0])
    biased = written if op.kind == "product" and op.elementwise == written else 0
    return Call(
        path=op.module,
        kind=kind,
        macs=op.macs,
        biased=biased,
        read=op.elementwise if kind in POOLS else read,
        written=op.elementwise if kind in ("multiplication", "other") else written,
        sampled=prod(op.outputs[0][1:]),
        windowed=op.elementwise if kind in (*POOLS, "resize") else 0,
        has_weights=False,
        linear_bias=min(biased, linear[op.module]) if of_linear else 0,
        parameters=sum(map(prod, op.inputs[1:3])) if "norm" in kind else 0,
    )


class Parameters(NamedTuple):
    """Elements of a module's parameters, those of some of its parts, and of its buffers."""

    all: int
    of_norms: int
    of_biases: int
    of_classifier: int
    buffers: int


class Watched:
    """A build whose module notes the calls of its leaves: one pass then shows operations and leaves.

    Whoever builds again, as :func:`ctxbench.tracing.trace` does for a module that cannot run among fake
    tensors, starts again: ``calls`` are of the module that was built last.
    """

    def __init__(self, build: Build) -> None:
        self.build = build
        self.seen: list[Call | None] = []
        self.module = nn.Module()

    def __call__(self) -> nn.Module:
        """Build the module, watched."""
        self.seen.clear()
        self.module = self.build()
        watch_leaves(self.module, _leaf, self.seen)
        return self.module

    @property
    def linear(self) -> dict[str, int]:
        """The paths of linear layers, each with the size of its bias."""
        layers = ((path, m) for path, m in self.module.named_modules() if isinstance(m, nn.Linear))
        return {path: 0 if layer.bias is None else layer.bias.numel() for path, layer in layers}

    @property
    def parameters(self) -> Parameters:
        """What its parameters are of."""
        return _parameters(self.module)

    @property
    def parameters_by_part(self) -> dict[str, Parameters]:
        """What those of its parts are of, by their names."""
        return {name: _parameters(part) for name, part in self.module.named_children()}

    @property
    def calls(self) -> list[Call]:
        """Every call of a leaf that took and returned tensors, in order."""
        return [call for call in self.seen if call is not None]


def _parameters(module: nn.Module) -> Parameters:
    leaves = [m for m in module.modules() if next(m.parameters(recurse=False), None) is not None]
    norms = [leaf for leaf in leaves if isinstance(leaf, LEAVES["batch norm"] + LEAVES["norm"])]
    layers = [leaf for leaf in leaves if isinstance(leaf, LEAVES["convolution"])]
    biases = [layer.bias for layer in layers if layer.bias is not None]
    return Parameters(
        _elements(module.parameters()),
        _elements(p for norm in norms for p in norm.parameters(recurse=False)),
        _elements(cast(Tensor, bias) for bias in biases),
        _elements(layers[-1].parameters(recurse=False)) if layers else 0,
        _elements(module.buffers()),
    )


def _elements(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() for tensor in tensors)


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
    biased = out.numel() if kind == "convolution" and leaf.bias is not None else 0
    return Call(
        path=path,
        kind=kind,
        macs=macs,
        biased=biased,
        read=inputs[0].numel(),
        written=out.numel(),
        sampled=prod(out.shape[1:]),
        windowed=leaf_flops(leaf, inputs, out) if kind in POOLS else out.numel() * (kind == "resize"),
        has_weights=next(leaf.parameters(recurse=False), None) is not None,
        linear_bias=cast(Tensor, leaf.bias).numel() if biased and isinstance(leaf, nn.Linear) else 0,
        parameters=sum(p.numel() for p in leaf.parameters(recurse=False)) if "norm" in kind else 0,
    )
