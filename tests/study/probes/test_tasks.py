"""The probes' tasks: labels by definition, chance in closed form, and nothing that tells a place."""

import numpy as np
import pytest

from ctxbench.data.dataset import IGNORE
from ctxbench.study.probes.levels import guessed, levels
from ctxbench.study.probes.tasks import COLOURS, MARKERS, RIGHT, TASKS, UP, Symbols

SIDE = 9


def label(name: str, fields: Symbols, y: int, x: int) -> int:
    """The label of one position by the task's sentence, position by position; ``fields`` are (F, H, W)."""
    first, last = fields[0], fields[-1]
    side = first.shape[-1]
    places = [(i, j) for i in range(side) for j in range(side)]

    def most(colours: list[int]) -> int:
        counts = [colours.count(one) for one in range(COLOURS)]
        return counts.index(max(counts)) if counts.count(max(counts)) == 1 else IGNORE

    match name:
        case "majority":
            return most([int(first[place]) for place in places])
        case "count":
            return sum(int(first[place]) for place in places) - 1
        case "region":
            return most([int(last[place]) for place in places if first[place] == first[y, x]])
        case "key":
            mine = {int(last[p]) for p in places if first[p] == first[y, x] and last[p]}
            return IGNORE if last[y, x] else mine.pop() - 1
        case "row":
            return IGNORE if first[y, x] else sum(int(first[y, j]) for j in range(side)) - 1
        case "column":
            return IGNORE if first[y, x] else sum(int(first[i, x]) for i in range(side)) - 1
        case "two-hops":
            (post,) = [j for j in range(side) if first[y, j]]
            return IGNORE if first[y, x] or last[y, x] else sum(int(last[i, post]) for i in range(side)) - 1
        case "offset":
            inside = y - UP >= 0 and x + RIGHT < side
            return int(first[y - UP, x + RIGHT]) if inside else IGNORE
        case "nearest":
            far = {p: (p[0] - y) ** 2 + (p[1] - x) ** 2 for p in places if first[p]}
            assert len(far) == MARKERS
            near = {int(first[p]) for p, d in far.items() if d == min(far.values())}
            return near.pop() - 1 if len(near) == 1 and not first[y, x] else IGNORE
        case _:
            (a,), (b,) = ([p for p in places if first[p] == one] for one in (1, 2))
            assert a[0] != b[0]
            assert a[1] != b[1]
            return IGNORE if first[y, x] else 2 * (b[0] > a[0]) + (b[1] > a[1])


@pytest.mark.parametrize("name", list(TASKS))
def test_labels_are_what_the_sentence_says(name: str) -> None:
    symbols, labels = TASKS[name].sample(0, 0, 6, SIDE)
    for fields, of_map in zip(symbols, labels, strict=True):
        for y in range(SIDE):
            for x in range(SIDE):
                assert of_map[y, x] == label(name, fields, y, x)


@pytest.mark.parametrize("name", list(TASKS))
def test_samples_follow_from_their_numbers_alone(name: str) -> None:
    task = TASKS[name]
    first, again, other = (task.sample(stream, 3, 4, SIDE)[0] for stream in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert [(int(f.min()), int(f.max())) for f in task.sample(0, 0, 64, SIDE)[0].swapaxes(0, 1)] == [
        (0, count - 1) for count in task.fields
    ]


@pytest.mark.parametrize("name", [name for name, task in TASKS.items() if task.chance is not None])
def test_chance_is_what_the_best_guess_from_oneself_reaches(name: str) -> None:
    task = TASKS[name]
    found = guessed(task, *task.sample(9, 0, 2048, 12))
    assert levels(name, 12).chance_pct == pytest.approx(100 * found, abs=1.5)


def test_chance_of_the_others() -> None:
    for name in ("key", "row", "column", "two-hops", "offset", "nearest"):
        assert levels(name, 12).one_answer_pct < 50
    for name in ("majority", "region"):  # one's own colour says something of the majority
        assert 20 < levels(name, 12).chance_pct < 30
    for name in ("majority", "count", "relation"):
        assert levels(name, 12).one_answer_pct == 100


@pytest.mark.parametrize("name", ["row", "column", "key", "offset", "nearest", "two-hops"])
def test_where_a_position_is_says_nothing(name: str) -> None:
    """The most frequent label at each place is as often right as chance, on other maps."""
    task = TASKS[name]
    _, known = task.sample(0, 0, 4096, SIDE)
    _, truth = task.sample(1, 0, 4096, SIDE)
    counts = np.stack([(known == one).sum(0) for one in range(task.classes)])  # (K, H, W)
    right = (truth == counts.argmax(0)).sum() / (truth != IGNORE).sum()
    assert right == pytest.approx(1 / task.classes, abs=0.01)
