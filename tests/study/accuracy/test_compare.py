"""Scores from counts, differences with their errors, and how often equal blocks are called different."""

import numpy as np
import pytest
import torch
from scipy import stats

from ctxbench.errors import UserError
from ctxbench.evaluate import metrics
from ctxbench.evaluate.metrics import confusion_matrix
from ctxbench.study.accuracy.compare import Scored, difference, judged
from ctxbench.study.accuracy.counts import Counts, iou, packed, scores, unpacked

RNG = np.random.default_rng(0)


def drawn(rng: np.random.Generator, seeds: int, images: int, share: float, spread: float = 0.0) -> Counts:
    """Counts of three classes, (S, M, 3, K), a ``share`` of whose pixels is right, by seed a bit apart."""
    made = np.zeros((seeds, images, 3, 3), np.int64)
    for seed in range(seeds):
        of_seed = share + spread * rng.standard_normal()
        for image in range(images):
            truth = rng.integers(0, 3, 400)
            hit = rng.random(400) < of_seed
            predicted = np.where(hit, truth, rng.integers(0, 3, 400))
            for place, which in enumerate((truth[truth == predicted], predicted, truth)):
                made[seed, image, place] = np.bincount(which, minlength=3)
    return made


def test_scores_are_those_of_the_confusion_matrix() -> None:
    truth, prediction = (torch.from_numpy(RNG.integers(0, 4, 500)) for _ in range(2))
    confusion = confusion_matrix(truth, prediction, 6).numpy()  # two classes are nowhere
    counts = np.stack([np.diag(confusion), confusion.sum(0), confusion.sum(1)])
    miou, accuracy = scores(counts)
    assert float(miou) == pytest.approx(metrics.miou(confusion))
    assert float(accuracy) == pytest.approx(metrics.pixel_accuracy(confusion))
    np.testing.assert_array_equal(iou(counts), metrics.iou(confusion))
    assert scores(np.zeros((3, 4)))[0] == 0


def test_counts_come_back_from_their_text() -> None:
    counts = RNG.integers(0, 70_000, (5, 3, 33))
    np.testing.assert_array_equal(unpacked(packed(counts)), counts)
    for text in ("", "1,3;", "2,3,4;eNoDAAAAAAE="):
        with pytest.raises(UserError, match="it holds no counts: "):
            unpacked(text)


def test_without_scatter_over_images_it_is_the_paired_t_test() -> None:
    by_seed = [1.0, 2.5, 1.5, 0.7]
    found = judged(by_seed, 0.0, 100)
    low, high = stats.t.interval(0.95, 3, np.mean(by_seed), stats.sem(by_seed))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert found.p == pytest.approx(stats.ttest_1samp(by_seed, 0).pvalue)


def test_without_scatter_over_seeds_images_alone_decide() -> None:
    found = judged([1.0, 1.0, 1.0], 0.25, 100)
    low, high = stats.t.interval(0.95, 99, 1.0, 0.5)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert found.smallest == pytest.approx(0.5 * (stats.t.ppf(0.975, 99) + stats.t.ppf(0.8, 99)))


def test_one_seed_tells_nothing_and_no_scatter_is_certain() -> None:
    alone = judged([1.0], 0.25, 100)
    assert (alone.points, alone.p, alone.low, alone.smallest) == (1.0, None, None, None)
    assert judged([0.0, 0.0], 0.0, 1).p == 1
    assert judged([0.5, 0.5], 0.0, 1).p == 0


def test_differences_are_over_shared_seeds_and_the_same_images() -> None:
    counts = drawn(RNG, 3, 20, 0.7, 0.05)
    ours, other = Scored.of((0, 1, 2), counts), Scored.of((2, 0), counts[[2, 0]])
    same = difference(ours, other)
    assert same is not None
    assert (same.points, same.p) == (pytest.approx(0), 1)  # paired: what images do is in both
    assert difference(ours, Scored.of((5,), counts[:1])) is None
    better = difference(Scored.of((0, 1, 2), drawn(RNG, 3, 20, 0.9)), ours)
    assert better is not None
    assert better.points > 10
    assert better.p is not None
    assert better.p < 0.05
    assert better.low is not None
    assert better.low > 0


@pytest.mark.parametrize("spread", [0.0, 0.02])
def test_equal_blocks_are_seldom_called_different(spread: float) -> None:
    """200 pairs of three seeds each, on the same images: at most 5 % and two standard errors."""
    rng = np.random.default_rng(1)
    every = drawn(rng, 24, 12, 0.7, spread)
    alarms = 0
    for _ in range(200):
        chosen = rng.permutation(24)[:6]
        a, b = (Scored.of((0, 1, 2), every[part]) for part in (chosen[:3], chosen[3:]))
        found = difference(a, b)
        assert found is not None
        assert found.p is not None
        alarms += found.p < 0.05
    assert alarms / 200 <= 0.05 + 2 * (0.05 * 0.95 / 200) ** 0.5
