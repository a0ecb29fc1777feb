"""What counters treat differently, each an *aspect*, and the ways there are to count it, its *treatments*.

A treatment is a pure function of :class:`Seen`, which is what one run of a module looks like to a counter. So
another way to count something is one more line in :data:`FLOPS`, :data:`MEMORY` or :data:`PARAMETERS`. The
first treatment of an aspect is the plain one; any other is one deviation from plain counting, or two where
papers and counters rarely have it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from ctxbench.audit.counting.work import Call, Parameters
from ctxbench.audit.quantity import Kind
from ctxbench.tracing.ops import Trace

ITEM_BYTES = 4
"""float32, in which the literature counts memory."""


class Held(NamedTuple):
    """Bytes that are held, as the operations show it. Those of training are known where it was run.

    ``on_cuda`` is in the blocks of its allocator, without what kernels take inside.
    """

    allocated: int | None = None
    peak_infer: int | None = None
    peak_train: int | None = None
    peak_infer_on_cuda: int | None = None
    peak_train_on_cuda: int | None = None
    saved: int | None = None


@dataclass(frozen=True)
class Seen:
    """One run as a counter sees it. Bytes are float32's; None is what this view does not show.

    ``repeats`` says whether a leaf is called more than once, without which every call is the last one.
    ``output_bytes``, ``sample_bytes`` (outputs without their first dimension) and ``weighted_bytes`` (of
    leaves with parameters) are of leaf modules. ``traces``, of inference and of training, are kept where
    memory is asked for.
    """

    calls: Sequence[Call]
    input_bytes: int | None
    parameters: Parameters
    parameters_by_part: Mapping[str, Parameters]
    held: Held
    traces: tuple[Trace, ...] = ()
    view: str = ""
    repeats: bool = True
    output_bytes: int | None = None
    sample_bytes: int | None = None
    weighted_bytes: int | None = None

    @property
    def weight_bytes(self) -> int:
        """Of the parameters."""
        return ITEM_BYTES * self.parameters.all


def of_leaves(seen: Seen, calls: Sequence[Call]) -> Seen:
    """A run as a counter sees it that looks at these calls of leaf modules."""
    return replace(
        seen,
        calls=calls,
        held=seen.held._replace(allocated=None),
        output_bytes=ITEM_BYTES * sum(call.written for call in calls),
        sample_bytes=ITEM_BYTES * sum(call.sampled for call in calls),
        weighted_bytes=ITEM_BYTES * sum(call.written for call in calls if call.has_weights),
    )


class Treatment(NamedTuple):
    """One way to count an aspect: in words (empty: not counted), its deviations, and the number."""

    words: str
    deviations: int
    number: Callable[[Seen], int | None]


Aspects = Mapping[str, tuple[Treatment, ...]]
"""The treatments of each aspect, the plain one first."""


def total(field: str, **times: int) -> Callable[[Seen], int]:
    """The sum of a field over the calls, each so many ``times`` as its kind says (``batch_norm=2``)."""
    by_kind = {kind.replace("_", " "): n for kind, n in times.items()}
    return lambda seen: sum(
        by_kind[call.kind] * getattr(call, field) for call in seen.calls if call.kind in by_kind
    )


def _norms(times: int, others: int | None = None) -> Callable[[Seen], int]:
    return total("written", batch_norm=times, norm=times if others is None else others)


def _others(seen: Seen) -> int:
    return total("written", multiplication=1, other=1)(seen) + total("windowed", resize=1)(seen)


def _twice(value: int | None) -> int | None:
    return None if value is None else 2 * value


NOT_COUNTED = Treatment("", 0, lambda seen: 0)

FLOPS: Aspects = {
    "products": (
        Treatment("MACs of convolutions and matrix products", 0, total("macs", convolution=1, matmul=1)),
        Treatment("2 per MAC of convolutions and matrix products", 1, total("macs", convolution=2, matmul=2)),
        Treatment(
            "MACs of convolutions, 2 per MAC of matrix products", 1, total("macs", convolution=1, matmul=2)
        ),
        Treatment(
            "2 per MAC of convolutions, MACs of matrix products", 2, total("macs", convolution=2, matmul=1)
        ),
        Treatment("MACs of convolutions, matrix products not counted", 1, total("macs", convolution=1)),
        Treatment("2 per MAC of convolutions, matrix products not counted", 2, total("macs", convolution=2)),
    ),
    "bias": (
        NOT_COUNTED,
        Treatment("1 per biased output", 1, lambda seen: sum(call.biased for call in seen.calls)),
        Treatment(
            "1 per biased output, a linear layer's bias once",
            2,
            lambda seen: sum(call.linear_bias or call.biased for call in seen.calls),
        ),
        Treatment(
            "1 per output of a biased convolution",
            2,
            lambda seen: sum(call.biased for call in seen.calls if not call.linear_bias),
        ),
    ),
    "norm": (
        NOT_COUNTED,
        Treatment("1 per element of a norm", 2, _norms(1)),
        Treatment("2 per element of a norm", 1, _norms(2)),
        Treatment("4 per element of a norm", 2, _norms(4)),
        Treatment("2 per element of a batch norm", 2, _norms(2, 0)),
        Treatment("2 per element of a batch norm, 5 of another norm", 2, _norms(2, 5)),
        Treatment("1 per parameter of a norm", 2, lambda seen: sum(call.parameters for call in seen.calls)),
    ),
    "activation": (
        NOT_COUNTED,
        Treatment("1 per element of a ReLU", 1, total("written", ReLU=1)),
        Treatment("1 per element of a ReLU, GELU or SiLU", 1, total("written", ReLU=1, activation=1)),
    ),
    "pool": (
        NOT_COUNTED,
        Treatment("1 per element read by a pooling", 1, total("read", pool=1, max_pool=1)),
        Treatment("a pooling's window and one for each output", 1, total("windowed", pool=1, max_pool=1)),
        Treatment("1 per element written by an average pooling", 2, total("written", pool=1)),
    ),
    "softmax": (
        NOT_COUNTED,
        Treatment("1 per element of a soft-max", 1, total("written", softmax=1)),
        Treatment("3 per element of a soft-max", 2, total("written", softmax=3)),
        Treatment("5 per element of a soft-max", 2, total("written", softmax=5)),
    ),
    "resize": (
        NOT_COUNTED,
        Treatment("1 per resized element", 2, total("written", resize=1)),
        Treatment("4 per resized element", 2, total("written", resize=4)),
        Treatment("11 per resized element", 2, total("written", resize=11)),
    ),
    "sigmoid": (NOT_COUNTED, Treatment("1 per element of a sigmoid", 1, total("written", sigmoid=1))),
    "other": (
        NOT_COUNTED,
        Treatment("1 per element of an element-wise product", 2, total("written", multiplication=1)),
        Treatment("1 per element of other element-wise operations", 1, _others),
    ),
}
"""How arithmetic is counted, in operations."""

MEMORY: Aspects = {
    "held": (
        Treatment("outputs of the leaf modules", 0, lambda seen: seen.output_bytes),
        Treatment("outputs of the leaf modules, first dimension left out", 1, lambda seen: seen.sample_bytes),
        Treatment(
            "outputs of the leaf modules, twice (gradients)", 1, lambda seen: _twice(seen.output_bytes)
        ),
        Treatment("outputs of the leaf modules with weights", 1, lambda seen: seen.weighted_bytes),
        Treatment(
            "outputs of the leaf modules with weights, twice (gradients)",
            2,
            lambda seen: _twice(seen.weighted_bytes),
        ),
        Treatment("everything the operations allocate", 0, lambda seen: seen.held.allocated),
        Treatment("peak of inference", 0, lambda seen: seen.held.peak_infer),
        Treatment("peak of training", 0, lambda seen: seen.held.peak_train),
        Treatment("peak of inference in CUDA's blocks", 0, lambda seen: seen.held.peak_infer_on_cuda),
        Treatment("peak of training in CUDA's blocks", 0, lambda seen: seen.held.peak_train_on_cuda),
        Treatment("activations saved for the backward pass", 0, lambda seen: seen.held.saved),
    ),
    "input": (NOT_COUNTED, Treatment("the input", 1, lambda seen: seen.input_bytes)),
    "weights": (NOT_COUNTED, Treatment("the parameters", 1, lambda seen: seen.weight_bytes)),
}
"""How memory is counted, in bytes. What memory is held has no one plain treatment: papers name any."""

PARAMETERS: Aspects = {
    "parameters": (
        Treatment("every parameter", 0, lambda seen: seen.parameters.all),
        Treatment(
            "parameters without those of norms",
            1,
            lambda seen: seen.parameters.all - seen.parameters.of_norms,
        ),
        Treatment(
            "parameters without biases of convolutions",
            1,
            lambda seen: seen.parameters.all - seen.parameters.of_biases,
        ),
        Treatment(
            "parameters without norms and biases",
            2,
            lambda seen: seen.parameters.all - seen.parameters.of_norms - seen.parameters.of_biases,
        ),
    ),
    "classifier": (
        NOT_COUNTED,
        Treatment("less the last layer", 2, lambda seen: -seen.parameters.of_classifier),
    ),
    "buffers": (NOT_COUNTED, Treatment("buffers", 2, lambda seen: seen.parameters.buffers)),
}
"""How parameters are counted, in elements."""

ASPECTS: Mapping[Kind, Aspects] = {"FLOPs": FLOPS, "memory": MEMORY, "parameters": PARAMETERS}
