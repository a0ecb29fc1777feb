"""Differences of mean IoU between blocks, with what images and seeds leave open of them. Imports no torch.

Runs of one seed see the same batches, and all are evaluated on the same images: a difference is paired in
both. Its error has two parts. What other images would give is found by a bootstrap over images, the same
resamples for all. What other seeds would give is the scatter of the differences over seeds, which are too few
to resample. The interval is Student's, with Welch and Satterthwaite's degrees of freedom for the two parts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import isfinite, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ctxbench.study.accuracy.counts import Counts, scores
from ctxbench.study.significance import LEVEL

RESAMPLES = 1000
POWER = 0.8
"""With which a difference of the least size that can be told is told."""


@dataclass(frozen=True)
class Difference:
    """A difference of mean IoU in points, its 95 % interval, p of its being 0, and the least told.

    ``smallest`` is the size of a true difference that would be told from 0 in four of five studies with so
    many seeds and images, before any correction. All but ``points`` are None below two seeds.
    """

    points: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    smallest: float | None = None


def resampled_miou(counts: Counts) -> NDArray[np.float64]:
    """Mean IoU of each seed on each resample of images: counts (S, M, 3, K) to (resamples, S)."""
    seeds, images, three, classes = counts.shape
    flat = counts.transpose(1, 0, 2, 3).reshape(images, -1).astype(np.float64)  # (M, S·3·K)
    sums = (_weights(images) @ flat).reshape(-1, seeds, three, classes)  # (resamples, S, 3, K)
    return scores(sums)[0]


@cache
def _weights(images: int) -> NDArray[np.float64]:
    """How often each image is in each resample, (resamples, M)."""
    draw = np.random.default_rng(0)
    return draw.multinomial(images, np.full(images, 1 / images), RESAMPLES).astype(np.float64)


def difference(ours: "Scored", other: "Scored") -> Difference | None:
    """Our mean IoU less another's, over the seeds that both have; None without one."""
    shared = [seed for seed in ours.seeds if seed in other.seeds]
    if not shared:
        return None
    mine, theirs = ([one.seeds.index(seed) for seed in shared] for one in (ours, other))
    by_seed = np.subtract([ours.miou[i] for i in mine], [other.miou[i] for i in theirs])
    resampled = (ours.resampled[:, mine] - other.resampled[:, theirs]).mean(1)
    return judged(by_seed, float(resampled.var(ddof=1)), ours.images)


def judged(by_seed: Any, of_images: float, images: int) -> Difference:
    """A difference by seed, (S,), and the variance that other images give its mean."""
    points, seeds = float(np.mean(by_seed)), len(by_seed)
    if seeds < 2:
        return Difference(points)
    of_seeds = float(np.var(by_seed, ddof=1)) / seeds
    error = sqrt(of_images + of_seeds)
    if not error:
        return Difference(points, points, points, float(points == 0), 0.0)
    freedom = error**4 / (of_seeds**2 / (seeds - 1) + of_images**2 / max(images - 1, 1))
    if not isfinite(freedom):
        freedom = seeds - 1
    t = float(stats.t.ppf(1 - LEVEL / 2, freedom))
    p = float(2 * stats.t.sf(abs(points) / error, freedom))
    least = (t + float(stats.t.ppf(POWER, freedom))) * error
    return Difference(points, points - t * error, points + t * error, p, least)


@dataclass(frozen=True)
class Scored:
    """A block's scores: its seeds, mean IoU and pixel accuracy in % by seed, and mean IoU of resamples."""

    seeds: tuple[int, ...]
    miou: tuple[float, ...]
    accuracy: tuple[float, ...]
    counts: Counts
    """(S, M, 3, K)."""
    resampled: NDArray[np.float64]
    """(resamples, S)."""

    @property
    def images(self) -> int:
        """M, the images it was evaluated on."""
        return int(self.counts.shape[1])

    @classmethod
    def of(cls, seeds: Sequence[int], counts: Counts) -> "Scored":
        """Scores from counts (S, M, 3, K)."""
        miou, accuracy = scores(counts.sum(1))
        return cls(
            tuple(seeds), tuple(miou.tolist()), tuple(accuracy.tolist()), counts, resampled_miou(counts)
        )
