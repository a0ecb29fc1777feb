"""The conventions of counters, as a space to search.

What counters treat differently, biases for one, is an *aspect*. Each way to count it is a *treatment*, a pure
function of :class:`Seen`, which is what one run of a module looks like to a counter. A *convention* is one
treatment of each aspect, and its number is the sum of theirs. So another way to count something is one more
line in :data:`FLOPS` or :data:`MEMORY`. The first treatment of an aspect is the plain one; any other is one
deviation from plain counting, or two where papers and counters rarely have it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ctxbench.audit.quantity import Kind
from ctxbench.audit.tools import TOOLS, VIEWS
from ctxbench.audit.work import Call, Parameters

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
    parameters: Parameters
    view: str = ""
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


def total(field: str, **times: int) -> Callable[[Seen], int]:
    """The sum of a field over the calls, each so many ``times`` as its kind says (``batch_norm=2``)."""
    by_kind = {kind.replace("_", " "): n for kind, n in times.items()}
    return lambda seen: sum(
        by_kind[call.kind] * getattr(call, field) for call in seen.calls if call.kind in by_kind
    )


def _norms(times: int, others: int | None = None) -> Callable[[Seen], int]:
    return total("written", batch_norm=times, norm=times if others is None else others)


def _others(seen: Seen) -> int:
    return total("written", other=1)(seen) + total("windowed", resize=1)(seen)


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
            lambda seen: sum(call.biased_once for call in seen.calls),
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
        Treatment("1 per element read by a pooling", 1, total("read", pool=1)),
        Treatment("a pooling's window and one for each output", 1, total("windowed", pool=1)),
        Treatment("1 per element written by a pooling", 2, total("written", pool=1)),
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
        Treatment("everything the operations allocate", 0, lambda seen: seen.allocated_bytes),
        Treatment("peak of inference", 0, lambda seen: seen.peak_infer_bytes),
        Treatment("peak of training", 0, lambda seen: seen.peak_train_bytes),
        Treatment("activations saved for the backward pass", 0, lambda seen: seen.saved_bytes),
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
    tools: tuple[str, ...] = ()
    """The counters whose rule it is on what was seen."""

    @property
    def words(self) -> str:
        """The treatments, in words, and whose rule they are."""
        whose = f", as {' or '.join(self.tools)} counts" if self.tools else ""
        return " + ".join(self.treatments.values()) + whose


class Conventions(Sequence[Convention]):
    """Every combination of treatments that differ on what was seen, each a convention; arithmetic on arrays.

    Of two treatments that do not differ the plainer is taken. ``values`` are the numbers, ``deviations`` how
    far each is from plain counting, ``unlike_leaf_rule`` how many treatments are not the leaf rule's.
    """

    def __init__(self, aspects: Aspects, seen: Seen) -> None:
        self.aspects = aspects
        kept = [_distinct(treatments, seen) for treatments in aspects.values()]
        self._treatments = [list(by_number.values()) for by_number in kept]
        self._sizes = tuple(map(len, kept))
        deviations = _sums([[treatment.deviations for treatment in of] for of in self._treatments])
        tools = self._tools(seen)
        for which in tools:
            deviations[which] = min(deviations[which], max(1 - VIEWS[seen.view], 0))
        self._names = {which: tuple(names) for which, names in tools.items()}
        self.deviations = deviations
        self.values = _sums([list(by_number) for by_number in kept])
        self.unlike_leaf_rule = _sums(
            [
                [bool(t.words) and LEAF_RULE.get(aspect) != t.words for t in of]
                for aspect, of in zip(aspects, self._treatments, strict=True)
            ]
        )

    def _tools(self, seen: Seen) -> dict[int, list[str]]:
        """The counters of this view by the combination that is their rule, but for the plain one."""
        if self.aspects is not FLOPS:
            return {}
        found: dict[int, list[str]] = {}
        for name, tool in TOOLS.items():
            if tool.view != seen.view:
                continue
            numbers = (_number(of, tool.treatments.get(aspect, ""), seen) for aspect, of in FLOPS.items())
            chosen = [
                next(i for i, treatment in enumerate(of) if treatment.number(seen) == number)
                for of, number in zip(self._treatments, numbers, strict=True)
            ]
            if any(of[i].deviations for of, i in zip(self._treatments, chosen, strict=True)):
                found.setdefault(int(np.ravel_multi_index(chosen, self._sizes)), []).append(name)
        return found

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, which: Any) -> Any:
        if which >= len(self):
            raise IndexError(which)
        chosen = np.unravel_index(which, self._sizes)
        treatments = [of[int(i)] for of, i in zip(self._treatments, chosen, strict=True)]
        words = {aspect: t.words for aspect, t in zip(self.aspects, treatments, strict=True) if t.words}
        tools = self._names.get(int(which), ())
        return Convention(int(self.values[which]), words, int(self.deviations[which]), tools)


def _sums(terms: Sequence[Any]) -> NDArray[np.int64]:
    """The sum of one term of each list, for every combination, in the order of nested loops."""
    sums = np.zeros(1, dtype=np.int64)
    for of in terms:
        sums = (sums[:, None] + np.asarray(of, dtype=np.int64)[None]).reshape(-1)  # (combinations,)
    return sums


def conventions(aspects: Aspects, seen: Seen) -> Conventions:
    """Every combination of treatments that differ on what was seen; of two that do not, the plainer."""
    return Conventions(aspects, seen)


def value_of(treatments: Mapping[str, str], aspects: Aspects, seen: Seen) -> int | None:
    """What the treatments of these words, by aspect, make of a run; None where the view does not show it."""
    numbers = [_number(of, treatments.get(aspect, ""), seen) for aspect, of in aspects.items()]
    return None if None in numbers else sum(number for number in numbers if number is not None)


def _number(treatments: Sequence[Treatment], words: str, seen: Seen) -> int | None:
    return next(treatment.number(seen) for treatment in treatments if treatment.words == words)


def _distinct(treatments: Sequence[Treatment], seen: Seen) -> dict[int, Treatment]:
    by_number: dict[int, Treatment] = {}
    for treatment in sorted(treatments, key=lambda treatment: treatment.deviations):
        number = treatment.number(seen)
        if number is not None:
            by_number.setdefault(number, treatment)
    return by_number


def leaf_rule(aspects: Aspects, seen: Seen) -> int | None:
    """What the leaf rule makes of a run, in operations or bytes; None where the view does not show it."""
    return value_of(LEAF_RULE, aspects, seen)
