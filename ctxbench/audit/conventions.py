"""The conventions of counters, as a space to search.

What counters treat differently, biases for one, is an *aspect*. Each way to count it is a *treatment*, a pure
function of :class:`Seen`, which is what one run of a module looks like to a counter. A *convention* is one
treatment of each aspect, and its number is the sum of theirs. So another way to count something is one more
line in :data:`FLOPS` or :data:`MEMORY`. The first treatment of an aspect is the plain one; any other is one
deviation from plain counting, or two where papers and counters rarely have it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

from ctxbench.audit.work import Call, CallKind

ITEM_BYTES = 4
"""float32, in which the literature counts memory."""


@dataclass(frozen=True)
class Seen:
    """One run as a counter sees it. Bytes are float32's; None is what this view does not show.

    ``output_bytes``, ``sample_bytes`` (outputs without their first dimension) and ``weighted_bytes`` (of
    leaves with parameters) are of leaf modules, ``allocated_bytes`` of operations.
    """

    calls: Sequence[Call]
    input_bytes: int
    weight_bytes: int
    output_bytes: int | None = None
    sample_bytes: int | None = None
    weighted_bytes: int | None = None
    allocated_bytes: int | None = None
    peak_infer_bytes: int | None = None
    peak_train_bytes: int | None = None
    saved_bytes: int | None = None


class Treatment(NamedTuple):
    """One way to count an aspect: in words (empty: not counted), its deviations, and the number."""

    words: str
    deviations: int
    number: Callable[[Seen], int | None]


Aspects = Mapping[str, tuple[Treatment, ...]]
"""The treatments of each aspect, the plain one first."""


def total(kind: CallKind, field: str, times: int = 1) -> Callable[[Seen], int]:
    """``times`` the sum of a field over the calls of a kind."""
    return lambda seen: times * sum(getattr(call, field) for call in seen.calls if call.kind == kind)


def _products(convolution: int, matmul: int) -> Callable[[Seen], int]:
    convolutions, matmuls = total("convolution", "macs", convolution), total("matmul", "macs", matmul)
    return lambda seen: convolutions(seen) + matmuls(seen)


def _biases(seen: Seen) -> int:
    return sum(call.biased for call in seen.calls)


NOT_COUNTED = Treatment("", 0, lambda seen: 0)

FLOPS: Aspects = {
    "products": (
        Treatment("MACs of convolutions and matrix products", 0, _products(1, 1)),
        Treatment("2 per MAC of convolutions and matrix products", 1, _products(2, 2)),
        Treatment("MACs of convolutions, 2 per MAC of matrix products", 1, _products(1, 2)),
        Treatment("2 per MAC of convolutions, MACs of matrix products", 2, _products(2, 1)),
        Treatment("MACs of convolutions, matrix products not counted", 1, _products(1, 0)),
        Treatment("2 per MAC of convolutions, matrix products not counted", 2, _products(2, 0)),
    ),
    "bias": (NOT_COUNTED, Treatment("1 per biased output", 1, _biases)),
    "norm": (
        NOT_COUNTED,
        Treatment("1 per element of a norm", 2, total("norm", "written")),
        Treatment("2 per element of a norm", 1, total("norm", "written", 2)),
        Treatment("4 per element of a norm", 2, total("norm", "written", 4)),
    ),
    "activation": (NOT_COUNTED, Treatment("1 per element of a ReLU", 1, total("activation", "written"))),
    "pool": (
        NOT_COUNTED,
        Treatment("1 per element read by a pooling", 1, total("pool", "read")),
        Treatment("a pooling's window and one for each output", 1, total("pool", "windowed")),
    ),
    "softmax": (
        NOT_COUNTED,
        Treatment("1 per element of a soft-max", 1, total("softmax", "written")),
        Treatment("3 per element of a soft-max", 2, total("softmax", "written", 3)),
        Treatment("5 per element of a soft-max", 2, total("softmax", "written", 5)),
    ),
    "sigmoid": (NOT_COUNTED, Treatment("1 per element of a sigmoid", 1, total("sigmoid", "written"))),
    "other": (
        NOT_COUNTED,
        Treatment("1 per element of other element-wise operations", 1, total("other", "written")),
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
        Treatment("everything the operations allocate", 0, lambda seen: seen.allocated_bytes),
        Treatment("peak of inference", 0, lambda seen: seen.peak_infer_bytes),
        Treatment("peak of training", 0, lambda seen: seen.peak_train_bytes),
        Treatment("activations saved for the backward pass", 0, lambda seen: seen.saved_bytes),
    ),
    "input": (NOT_COUNTED, Treatment("the input", 1, lambda seen: seen.input_bytes)),
    "weights": (NOT_COUNTED, Treatment("the parameters", 1, lambda seen: seen.weight_bytes)),
}
"""How memory is counted, in bytes. What memory is held has no one plain treatment: papers name any."""

LEAF_RULE = {
    "products": "MACs of convolutions, 2 per MAC of matrix products",
    "bias": "1 per biased output",
    "norm": "2 per element of a norm",
    "activation": "1 per element of a ReLU",
    "pool": "a pooling's window and one for each output",
    "held": "outputs of the leaf modules, first dimension left out",
}
"""The convention of :mod:`ctxbench.counters.leaf_rule`, by aspect; others are not counted. Its view is the
last call of each leaf module."""


def _twice(value: int | None) -> int | None:
    return None if value is None else 2 * value


class Convention(NamedTuple):
    """A number, and the treatments that give it, by aspect; those that count nothing are left out."""

    value: int
    treatments: dict[str, str]
    deviations: int

    @property
    def words(self) -> str:
        """The treatments, in words."""
        return " + ".join(self.treatments.values())

    @property
    def unlike_leaf_rule(self) -> int:
        """How many of its treatments are not the leaf rule's."""
        return sum(LEAF_RULE.get(aspect) != words for aspect, words in self.treatments.items())


def conventions(aspects: Aspects, seen: Seen) -> Iterator[Convention]:
    """Every combination of treatments that differ on what was seen; of two that do not, the plainer."""
    for combination in product(*(_distinct(treatments, seen).items() for treatments in aspects.values())):
        numbers, treatments = zip(*combination, strict=True)
        words = {aspect: t.words for aspect, t in zip(aspects, treatments, strict=True) if t.words}
        yield Convention(sum(numbers), words, sum(treatment.deviations for treatment in treatments))


def _distinct(treatments: Sequence[Treatment], seen: Seen) -> dict[int, Treatment]:
    by_number: dict[int, Treatment] = {}
    for treatment in sorted(treatments, key=lambda treatment: treatment.deviations):
        number = treatment.number(seen)
        if number is not None:
            by_number.setdefault(number, treatment)
    return by_number


def leaf_rule(aspects: Aspects, seen: Seen) -> int | None:
    """What the leaf rule makes of a run, in operations or bytes; None where the view does not show it."""
    numbers = [
        treatment.number(seen)
        for aspect, treatments in aspects.items()
        for treatment in treatments
        if treatment.words == LEAF_RULE.get(aspect, "")
    ]
    return None if None in numbers else sum(number for number in numbers if number is not None)
