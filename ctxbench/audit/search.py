"""Which conventions a printed FLOPs or memory number fits: a search over :mod:`ctxbench.audit.conventions`.

A fit is no proof: of many conventions some fit any number by chance, so each fit says how many would.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, NamedTuple

from ctxbench.audit.conventions import FLOPS, MEMORY, TABLE_10, Convention, Seen, conventions, table_10
from ctxbench.audit.decoding import Decoding, Fit, Kind, Reading
from ctxbench.audit.quantity import Quantity, Unit
from ctxbench.audit.runs import VIEWS, Run, runs
from ctxbench.counters import Shape
from ctxbench.errors import UserError
from ctxbench.subject import resolve

NEAREST = 3
"""Near misses told of what nothing fits."""


def decode(
    module: str,
    *printed: str,
    shape: Shape = (1, 512, 64, 64),
    options: Mapping[str, Any] | None = None,
) -> Decoding:
    """Search the conventions for those that give the printed digits.

    ``printed`` are a number of FLOPs (or MACs) such as ``"19.33G"``, one of memory such as ``"88.00MB"``, or
    both. ``module`` is a name as for :func:`ctxbench.profile`; it is run on inputs of ``shape`` (N, C, H, W)
    with Table 10's options changed by ``options``. Raises UserError where a number cannot be read, two are
    of one kind, ``shape`` holds nothing, or the module cannot be built or run.
    """
    quantities = sorted(map(Quantity.parse, printed), key=lambda quantity: quantity.is_memory)
    if len({quantity.is_memory for quantity in quantities}) != len(quantities) or not quantities:
        raise UserError("give one number of FLOPs (19.33G), one of memory (88.00MB), or one of each")
    if min(shape) < 1:
        raise UserError(f"an input has at least one element, not {'×'.join(map(str, shape))}")
    module = resolve.canonical(module)
    configurations = list(runs(module, shape, options or {}))
    scenes, not_tried = _scenes(configurations, quantities)
    kinds: dict[Kind, list[_Candidates]] = {}
    if len(quantities) > 1:
        kinds["both"] = [_Candidates(scene, tuple(scene.readings)) for scene in scenes]
    for i, quantity in enumerate(quantities):
        kinds["memory" if quantity.is_memory else "FLOPs"] = _plainest(scenes, i)
    fits, nearest = [], []
    for kind, candidates in kinds.items():
        of_kind = (
            quantities if kind == "both" else [q for q in quantities if q.is_memory == (kind == "memory")]
        )
        found = _fits(kind, candidates, of_kind)
        fits += found
        nearest += [] if found else _nearest(kind, candidates)
    return Decoding(
        module=module,
        shape=shape,
        printed=tuple(quantities),
        runs=tuple(run.words for run in configurations),
        tried={kind: sum(c.size for c in candidates) for kind, candidates in kinds.items()},
        fits=tuple(fits),
        nearest=tuple(nearest),
        not_tried=tuple(not_tried),
    )


@dataclass(frozen=True)
class _Scene:
    """One run looked at in one way: for each printed number, what every convention makes of it."""

    run: str
    view: str
    departures: int
    readings: tuple[dict[float, Reading], ...]
    """By value in the printed unit, so that of conventions alike the plainest stands."""


class _Candidates(NamedTuple):
    """What a scene has to offer for the numbers of one kind of fit."""

    scene: _Scene
    readings: tuple[Mapping[float, Reading], ...]

    @property
    def size(self) -> int:
        """How many combinations there are."""
        return prod(map(len, self.readings))


def _scenes(configurations: Sequence[Run], quantities: Sequence[Quantity]) -> tuple[list[_Scene], list[str]]:
    scenes, not_tried = [], []
    training = any(quantity.is_memory for quantity in quantities)
    for run in configurations:
        try:
            views = run.seen(training=training)
        except UserError as error:
            if not run.departures:
                raise
            not_tried.append(f"{run.words} ({error})")
            continue
        for view, seen in views.items():
            departures = VIEWS[view] + run.departures
            last_calls = view == list(views)[-1]
            readings = tuple(_readings(quantity, seen, last_calls) for quantity in quantities)
            scenes.append(_Scene(run.words, view, departures, readings))
    return scenes, not_tried


def _readings(quantity: Quantity, seen: Seen, last_calls: bool) -> dict[float, Reading]:
    """Each value that a convention gives, by the plainest that gives it; of those, as in Table 10."""
    habits = MEMORY if quantity.is_memory else FLOPS
    paper = table_10(habits, seen) if last_calls else None
    found: dict[float, tuple[int, int, Convention, Unit]] = {}
    alike: Counter[float] = Counter()
    for i, unit in enumerate(quantity.units):
        for convention in conventions(habits, seen):
            value = convention.value / unit.size
            foreign = sum(TABLE_10.get(habit) != words for habit, words in convention.choices.items())
            here = (convention.departures + i, foreign, convention, unit)
            alike[value] += 1
            if value not in found or here[:2] < found[value][:2]:
                found[value] = here
    return {
        value: Reading(
            value=value,
            words=f"{convention.words} ({unit.words})",
            departures=departures,
            error=quantity.error(value),
            alike=alike[value] - 1,
            is_table_10=convention.value == paper and unit == quantity.units[0],
        )
        for value, (departures, _, convention, unit) in found.items()
    }


def _plainest(scenes: Iterable[_Scene], which: int) -> list[_Candidates]:
    """One number's values, each where it takes the fewest departures."""
    best: dict[float, tuple[int, int]] = {}
    scenes = list(scenes)
    for i, scene in enumerate(scenes):
        for value, reading in scene.readings[which].items():
            here = (reading.departures + scene.departures, i)
            best[value] = min(best.get(value, here), here)
    return [
        _Candidates(scene, ({v: r for v, r in scene.readings[which].items() if best[v][1] == i},))
        for i, scene in enumerate(scenes)
    ]


def _fits(kind: Kind, candidates: Sequence[_Candidates], quantities: Sequence[Quantity]) -> list[Fit]:
    chances = _expected(candidates, quantities)
    found = []
    for scene, readings in candidates:
        fitting = [
            [reading for value, reading in values.items() if quantity.fits(value)]
            for values, quantity in zip(readings, quantities, strict=True)
        ]
        for combination in product(*fitting):
            departures = scene.departures + sum(reading.departures for reading in combination)
            found.append(Fit(kind, combination, scene.run, scene.view, departures, chances(departures)))
    return sorted(found, key=lambda fit: (fit.departures, not fit.is_table_10))


def _expected(candidates: Iterable[_Candidates], quantities: Sequence[Quantity]) -> Callable[[int], float]:
    """The fits that random numbers would have on average among conventions of so many departures or fewer."""
    near: Counter[int] = Counter()
    for scene, readings in candidates:
        combined = Counter({scene.departures: 1})
        for values, quantity in zip(readings, quantities, strict=True):
            counts = Counter(r.departures for r in values.values() if quantity.is_near(r.value))
            combined = _convolved(combined, counts)
        near.update(combined)
    probability = prod(quantity.width for quantity in quantities)
    return lambda departures: probability * sum(n for d, n in near.items() if d <= departures)


def _convolved(a: Mapping[int, int], b: Mapping[int, int]) -> Counter[int]:
    sums: Counter[int] = Counter()
    for (i, n), (j, m) in product(a.items(), b.items()):
        sums[i + j] += n * m
    return sums


def _nearest(kind: Kind, candidates: Iterable[_Candidates]) -> list[Fit]:
    """The nearest combination of each scene; of those, the nearest few that differ."""
    found: dict[tuple[float, ...], Fit] = {}
    for scene, readings in candidates:
        if all(readings):
            nearest = tuple(min(of.values(), key=lambda r: (abs(r.error), r.departures)) for of in readings)
            departures = scene.departures + sum(reading.departures for reading in nearest)
            values = tuple(reading.value for reading in nearest)
            found.setdefault(values, Fit(kind, nearest, scene.run, scene.view, departures))
    return sorted(found.values(), key=lambda fit: fit.error)[:NEAREST]
