"""The rows of a table of trainings: what each trains, what it scored, and how it stands to another row.

Runs of one seed see the same data in the same order, so rows are compared seed by seed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, stdev
from typing import Any

from ctxbench.evaluate.predict import Setting
from ctxbench.study.significance import LEVEL, holm, paired_p
from ctxbench.study.whole.trial import SINGLE_SCALE, Trial
from ctxbench.train.config import TrainConfig

APPEARED, DID_NOT, NOT_SIGNIFICANT = "appeared", "did not appear", "not significant"


@dataclass(frozen=True)
class Row:
    """A row of a table: what is trained, how its last weights are evaluated, what it is compared with.

    The seed of ``config`` is set by the grid. ``start`` is the row whose weights, of the same seed, it
    starts from. ``reference`` is the index, in its table, of the row that it is compared with. ``printed``
    is the mIoU in % that a paper prints for it, if one does; ``note`` is said under the table.
    """

    label: str
    config: TrainConfig
    setting: Setting = SINGLE_SCALE
    start: "Row | None" = None
    reference: int | None = None
    printed: str = ""
    note: str = ""

    def trial(self, seed: int) -> Trial:
        """Its run for a seed."""
        start = self.start.trial(seed).name if self.start else None
        bare = replace(self.config, seed=0)
        name = f"{bare.digest}-seed{seed}" + (f"-from-{start.partition('-')[0]}" if start else "")
        return Trial(name, (self.label,), replace(self.config, seed=seed), (self.setting,), start)


@dataclass(frozen=True)
class Result:
    """What a row scored: mIoU in % by seed, and why, by seed, where it did not.

    ``devices`` are those it was evaluated on; ``starts`` is, for each seed that has a score, what is known
    of the starts of its run. :func:`compare` adds the ``reference`` result, and ``p``: that of a two-sided
    paired t-test over the seeds that both have, corrected for the comparisons of the table; None below two.
    """

    row: Row
    miou: Mapping[int, float]
    reasons: Mapping[int, str] = field(default_factory=dict)
    devices: tuple[str, ...] = ()
    starts: tuple[Sequence[Mapping[str, Any]], ...] = ()
    reference: "Result | None" = None
    p: float | None = None

    @property
    def mean(self) -> float | None:
        """Over the seeds there are; None without any."""
        return fmean(self.miou.values()) if self.miou else None

    @property
    def sd(self) -> float | None:
        """The sample's standard deviation; None below two seeds."""
        return stdev(self.miou.values()) if len(self.miou) > 1 else None

    @property
    def gains(self) -> list[float]:
        """Its mIoU less the reference's, in points, for each seed that both have."""
        if self.reference is None:
            return []
        other = self.reference.miou
        return [self.miou[seed] - other[seed] for seed in sorted(self.miou.keys() & other.keys())]

    @property
    def gain(self) -> float | None:
        """The mean of :attr:`gains`; None without any."""
        return fmean(self.gains) if self.gains else None

    @property
    def printed_gain(self) -> float | None:
        """The printed score less the reference's, in points; None where either is not printed."""
        if self.reference is None or not (self.row.printed and self.reference.row.printed):
            return None
        return float(self.row.printed) - float(self.reference.row.printed)

    @property
    def significant(self) -> bool:
        """Whether p is below 0.05."""
        return self.p is not None and self.p < LEVEL

    @property
    def direction(self) -> str:
        """Whether a gain of the printed one's sign appeared; "" where nothing is printed, or measured."""
        if self.printed_gain is None or self.gain is None:
            return ""
        if not self.significant:
            return NOT_SIGNIFICANT
        return APPEARED if self.gain * self.printed_gain > 0 else DID_NOT

    @property
    def remark(self) -> str:
        """What a footnote says of it."""
        failed = [f"seed {seed}: {reason}" for seed, reason in self.reasons.items()]
        return "; ".join(filter(None, (self.row.note, *failed)))


def compare(results: Sequence[Result]) -> list[Result]:
    """Hold the results of a table's rows against those of their reference rows."""
    paired = [
        result if result.row.reference is None else replace(result, reference=results[result.row.reference])
        for result in results
    ]
    corrected = holm([paired_p(result.gains) for result in paired])
    return [replace(result, p=p) for result, p in zip(paired, corrected, strict=True)]
