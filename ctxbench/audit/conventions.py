"""The habits of counters, as a space to search: a convention is one choice of each habit.

Every choice is a pure function of :class:`Seen`, what one run of a module looks like to a counter, and a
convention's number is the sum of its choices. So another habit is one more line in :data:`FLOPS` or
:data:`MEMORY`. The first choice of a habit is the plain one and costs nothing; any other is a departure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

from ctxbench.audit.work import Call, Kind

ITEM_BYTES = 4
"""float32, in which the literature counts memory."""


@dataclass(frozen=True)
class Seen:
    """One run as a counter sees it. Bytes are float32's; None is what this way of looking does not show.

    ``outputs``, ``sampled_outputs`` (without their first dimension) and ``weighted_outputs`` are of leaf
    modules, ``allocated`` of operations.
    """

    calls: Sequence[Call]
    input_bytes: int
    weight_bytes: int
    outputs: int | None = None
    sampled_outputs: int | None = None
    weighted_outputs: int | None = None
    allocated: int | None = None
    peak_infer: int | None = None
    peak_train: int | None = None
    saved: int | None = None


class Choice(NamedTuple):
    """One way to count something: in words (empty: not counted), how many departures, and the number."""

    words: str
    departures: int
    number: Callable[[Seen], int | None]


Habit = tuple[Choice, ...]


def total(kind: Kind, field: str, times: int = 1) -> Callable[[Seen], int]:
    """``times`` the sum of a field over the calls of a kind."""
    return lambda seen: times * sum(getattr(call, field) for call in seen.calls if call.kind == kind)


def _products(convolution: int, matmul: int) -> Callable[[Seen], int]:
    of_convolutions, of_matmuls = total("convolution", "macs", convolution), total("matmul", "macs", matmul)
    return lambda seen: of_convolutions(seen) + of_matmuls(seen)


def _biases(seen: Seen) -> int:
    return sum(call.biased for call in seen.calls)


NOTHING = Choice("", 0, lambda seen: 0)

FLOPS: dict[str, Habit] = {
    "products": (
        Choice("MACs of convolutions and matrix products", 0, _products(1, 1)),
        Choice("2 per MAC of convolutions and matrix products", 1, _products(2, 2)),
        Choice("MACs of convolutions, 2 per MAC of matrix products", 1, _products(1, 2)),
        Choice("2 per MAC of convolutions, MACs of matrix products", 2, _products(2, 1)),
        Choice("MACs of convolutions, matrix products not counted", 1, _products(1, 0)),
        Choice("2 per MAC of convolutions, matrix products not counted", 2, _products(2, 0)),
    ),
    "bias": (NOTHING, Choice("1 per biased output", 1, _biases)),
    "norm": (
        NOTHING,
        Choice("1 per element of a norm", 2, total("norm", "written")),
        Choice("2 per element of a norm", 1, total("norm", "written", 2)),
        Choice("4 per element of a norm", 2, total("norm", "written", 4)),
    ),
    "activation": (NOTHING, Choice("1 per element of a ReLU", 1, total("activation", "written"))),
    "pool": (
        NOTHING,
        Choice("1 per element read by a pooling", 1, total("pool", "read")),
        Choice("a pooling's window and one for each output", 1, total("pool", "windowed")),
    ),
    "softmax": (
        NOTHING,
        Choice("1 per element of a soft-max", 1, total("softmax", "written")),
        Choice("3 per element of a soft-max", 2, total("softmax", "written", 3)),
        Choice("5 per element of a soft-max", 2, total("softmax", "written", 5)),
    ),
    "sigmoid": (NOTHING, Choice("1 per element of a sigmoid", 1, total("sigmoid", "written"))),
    "other": (
        NOTHING,
        Choice("1 per element of other element-wise operations", 1, total("other", "written")),
    ),
}
"""Habits of counting arithmetic, in operations."""

MEMORY: dict[str, Habit] = {
    "held": (
        Choice("outputs of the leaf modules", 0, lambda seen: seen.outputs),
        Choice("outputs of the leaf modules, first dimension left out", 1, lambda seen: seen.sampled_outputs),
        Choice("outputs of the leaf modules, twice (gradients)", 1, lambda seen: _twice(seen.outputs)),
        Choice("outputs of the leaf modules with weights", 1, lambda seen: seen.weighted_outputs),
        Choice(
            "outputs of the leaf modules with weights, twice (gradients)",
            2,
            lambda seen: _twice(seen.weighted_outputs),
        ),
        Choice("everything the operations allocate", 0, lambda seen: seen.allocated),
        Choice("peak of inference", 0, lambda seen: seen.peak_infer),
        Choice("peak of training", 0, lambda seen: seen.peak_train),
        Choice("activations saved for the backward pass", 0, lambda seen: seen.saved),
    ),
    "input": (NOTHING, Choice("the input", 1, lambda seen: seen.input_bytes)),
    "weights": (NOTHING, Choice("the parameters", 1, lambda seen: seen.weight_bytes)),
}
"""Habits of counting memory, in bytes."""

TABLE_10 = {
    "products": "MACs of convolutions, 2 per MAC of matrix products",
    "bias": "1 per biased output",
    "norm": "2 per element of a norm",
    "activation": "1 per element of a ReLU",
    "pool": "a pooling's window and one for each output",
    "held": "outputs of the leaf modules, first dimension left out",
}
"""The convention of the paper's Table 10, as choices by habit; it looks at the last calls of leaf modules."""


def _twice(value: int | None) -> int | None:
    return None if value is None else 2 * value


class Convention(NamedTuple):
    """A number, and the choices that give it, by habit; those that count nothing are left out."""

    value: int
    choices: dict[str, str]
    departures: int

    @property
    def words(self) -> str:
        """The choices, in words."""
        return " + ".join(self.choices.values())


def conventions(habits: dict[str, Habit], seen: Seen) -> Iterator[Convention]:
    """Every combination of choices that differ on what was seen; of two alike, the plainer."""
    for combination in product(*(_distinct(habit, seen).items() for habit in habits.values())):
        counts, chosen = zip(*combination, strict=True)
        words = {name: choice.words for name, choice in zip(habits, chosen, strict=True) if choice.words}
        yield Convention(sum(counts), words, sum(choice.departures for choice in chosen))


def _distinct(habit: Habit, seen: Seen) -> dict[int, Choice]:
    found: dict[int, Choice] = {}
    for choice in sorted(habit, key=lambda choice: choice.departures):
        count = choice.number(seen)
        if count is not None:
            found.setdefault(count, choice)
    return found


def table_10(habits: dict[str, Habit], seen: Seen) -> int | None:
    """What Table 10's convention makes of a run, in operations or bytes; None where it cannot say."""
    counts = [
        choice.number(seen)
        for name, habit in habits.items()
        for choice in habit
        if choice.words == TABLE_10.get(name, "")
    ]
    return None if None in counts else sum(count for count in counts if count is not None)
