"""What a printed number may mean, as the search found it: fits, near misses, and both in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING, Literal

from ctxbench.audit.quantity import Quantity
from ctxbench.counters import Shape
from ctxbench.subject import registry

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 6
"""How many fits the text shows of each kind; the frame has them all."""

Kind = Literal["both", "FLOPs", "memory"]


@dataclass(frozen=True)
class Reading:
    """One number under one convention: its value in the printed unit, and what was counted, in words.

    ``error`` is its relative deviation from what was printed, ``alike`` how many other conventions give the
    same value, and ``is_table_10`` whether it is the value that the paper's Table 10 would have.
    """

    value: float
    words: str
    departures: int
    error: float
    alike: int
    is_table_10: bool


@dataclass(frozen=True)
class Fit:
    """A convention that gives the printed digits, or comes near them.

    ``departures`` counts its departures from the plainest convention. ``by_chance`` is how many fits a
    random number (log-uniform, within a factor of two of the printed one) has on average among conventions
    of no more departures; None for a near miss. ``run`` and ``view`` say what was run and what was seen.
    """

    kind: Kind
    readings: tuple[Reading, ...]
    run: str
    view: str
    departures: int
    by_chance: float | None = None

    @property
    def error(self) -> float:
        """The largest relative deviation from a printed number."""
        return max(abs(reading.error) for reading in self.readings)

    @property
    def is_table_10(self) -> bool:
        """Whether this is the convention of the paper's Table 10."""
        return all(reading.is_table_10 for reading in self.readings)


@dataclass(frozen=True)
class Decoding:
    """What a printed number, or a pair, may mean: ``str()`` in words, :meth:`to_frame` every fit.

    ``fits`` holds fits of both numbers by one convention first, then of each alone; the plainest first.
    ``nearest`` are the near misses where nothing fits. ``tried`` counts, by kind, the conventions that
    differ in their numbers, ``runs`` names what was run, and ``not_tried`` says which runs failed, and why.
    """

    module: str
    shape: Shape
    printed: tuple[Quantity, ...]
    runs: tuple[str, ...]
    tried: dict[Kind, int]
    fits: tuple[Fit, ...]
    nearest: tuple[Fit, ...]
    not_tried: tuple[str, ...] = ()

    @property
    def is_reproduced(self) -> bool:
        """Whether one convention gives everything that was printed."""
        return next(iter(self.tried)) in (fit.kind for fit in self.fits)

    def of(self, kind: Kind) -> list[Fit]:
        """The fits of a kind."""
        return [fit for fit in self.fits if fit.kind == kind]

    def to_frame(self) -> pd.DataFrame:
        """Every fit and near miss, a row each; values in the printed units."""
        import pandas as pd

        rows = []
        for fit in (*self.fits, *self.nearest):
            row: dict[str, object] = {
                "kind": fit.kind,
                "fits": fit in self.fits,
                "departures": fit.departures,
            }
            row |= {"expected_by_chance": fit.by_chance, "error": fit.error, "is_table_10": fit.is_table_10}
            for quantity, reading in zip(self._quantities(fit.kind), fit.readings, strict=True):
                name = "memory" if quantity.is_memory else "flops"
                row |= {f"{name}_{quantity.unit.lower()}": reading.value, f"{name}_convention": reading.words}
                row[f"{name}_alike"] = reading.alike
            rows.append({**row, "view": fit.view, "run": fit.run})
        return pd.DataFrame(rows)

    def __str__(self) -> str:
        known = registry.spec(self.module)
        shape = "×".join(map(str, self.shape))
        printed = " and ".join(map(str, self.printed))
        lines = [f"{known.title if known else self.module}, input {shape}: what {printed} may count"]
        lines.append(fill(f"Runs: {'; '.join(self.runs)}.", 100, subsequent_indent="  "))
        for kind in self.tried:
            lines += ["", *self._section(kind)]
        lines += [f"Not tried: {reason}" for reason in self.not_tried]
        return "\n".join(lines) + "\n"

    def _quantities(self, kind: Kind) -> Sequence[Quantity]:
        return (
            self.printed if kind == "both" else [q for q in self.printed if q.is_memory == (kind == "memory")]
        )

    def _section(self, kind: Kind) -> list[str]:
        names = " and ".join(map(str, self._quantities(kind)))
        what = (
            f"{names} by one convention"
            if kind == "both"
            else f"{names} alone"
            if len(self.tried) > 1
            else names
        )
        fits = self.of(kind)
        said = f"fits {len(fits)}" if fits else "not reproduced; the nearest"
        lines = [f"{what}: {said} of {self.tried[kind]:,} conventions with different numbers"]
        if fits and kind != "both" and self.of("both"):
            return lines
        first, rest = fits[:SHOWN], fits[SHOWN:]
        shown = [*first, *(fit for fit in rest if fit.is_table_10)] if fits else self._misses(kind)
        for number, fit in enumerate(shown, start=1):
            lines += self._told(number, fit)
        if rest:
            lines.append(f"  {len(fits)} in all: to_frame() and --csv have every one.")
        return lines

    def _misses(self, kind: Kind) -> list[Fit]:
        return [fit for fit in self.nearest if fit.kind == kind]

    def _told(self, number: int, fit: Fit) -> list[str]:
        values = " and ".join(
            f"{reading.value:#.6g} {quantity.unit}"
            for quantity, reading in zip(self._quantities(fit.kind), fit.readings, strict=True)
        )
        if fit.by_chance is None:
            errors = ", ".join(f"{100 * reading.error:+.2g} %" for reading in fit.readings)
            head = f"{values} ({errors})"
        else:
            mark = "; the convention of Table 10" if fit.is_table_10 else ""
            head = f"{values} ({_count(fit.departures)}; {_chance(fit.by_chance)} by chance{mark})"
        lines = [f"  {number}. {head}"]
        for words in (*map(_counted, fit.readings), fit.view, fit.run):
            lines.append(fill(words, 100, initial_indent="     ", subsequent_indent="       "))
        return lines


def _count(departures: int) -> str:
    return f"{departures} departure" + ("" if departures == 1 else "s")


def _chance(expected: float) -> str:
    return "under 0.001 expected" if expected < 0.001 else f"{expected:.2g} expected"


def _counted(reading: Reading) -> str:
    if not reading.alike:
        return reading.words
    return f"{reading.words}, the plainest of {reading.alike + 1} conventions with this very number"
