"""One cell of the probes: what its network sees, that it repeats to the digit, and what it cannot do."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ctxbench.errors import UserError
from ctxbench.study.probes.cell import Probe, Trainer, one_hot
from ctxbench.study.probes.grid import asked
from ctxbench.study.probes.levels import levels
from ctxbench.study.probes.spec import PROBED, TEST, VALIDATION, ProbeCell, ProbePlan
from ctxbench.study.probes.tasks import TASKS
from ctxbench.subject.bind import implementations
from ctxbench.subject.case import Case


def cell(module: str, task: str, side: int = 12, **settings: object) -> ProbeCell:
    """A cell of a block; ``none`` is no context module."""
    form = implementations(module)[0] if module != "none" else "single"
    plan = ProbePlan((Case(module if module != "none" else "se", 64, 16, 16, implementation=form),))
    made = plan.cell(plan.subjects[module != "none"], task, side)
    return replace(made, **settings)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def few_maps(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "slow" not in request.keywords:
        for stream in (VALIDATION, TEST):
            monkeypatch.setitem(PROBED, stream, 4)
        monkeypatch.setattr("ctxbench.study.fitting.POPULATION", 2)


def test_without_a_block_a_position_sees_itself_alone() -> None:
    torch.manual_seed(0)
    task = TASKS["row"]
    network = Probe(sum(task.fields), task.classes, 8, None, 0)
    maps = one_hot(task, task.sample(0, 0, 16, 6)[0])
    network(maps)  # moves the batch norms
    network.eval()
    other = maps.clone()
    other[:, :, 2, 3] = other[:, :, 2, 3].flip(1)
    seen = (network(maps) != network(other)).any(1)  # (N, H, W)
    assert seen[:, 2, 3].any()
    seen[:, 2, 3] = False
    assert not seen.any()


def test_a_cell_gives_the_same_numbers_again() -> None:
    short = cell("gc", "majority", steps=2, seeds=(0, 1), rates=(0.01,))
    first, again = Trainer(short).train(), Trainer(short).train()
    assert first == again
    assert first["accuracy_pct"].keys() == {"12", "16"}
    a, b = first["accuracy_pct"]["12"]
    assert a != b


class Positions(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Parameter(torch.zeros(64, 12, 12))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.table


def test_a_block_of_one_map_size_says_so_at_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctxbench.study.probes.cell.context_of", lambda case, seed: (Positions(), 64))
    found = Trainer(cell("se", "row", steps=1, seeds=(0,), rates=(0.01,))).train()
    assert found["accuracy_pct"].keys() == {"12"}
    assert found["reasons"]["16"].startswith("its weights are for maps of 12: ")


def test_the_rate_is_the_one_that_does_better_on_other_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[tuple[int, float]] = []

    def kept(self: Trainer, seed: int, rate: float) -> Probe:
        trained.append((seed, rate))
        return train(self, seed, rate)

    train = Trainer._trained
    monkeypatch.setattr(Trainer, "_trained", kept)
    found = Trainer(cell("none", "count", steps=1, seeds=(0, 1), rates=(0.01, 0.02))).train()
    assert trained == [(0, 0.01), (0, 0.02), (1, found["rate"])]


class Broken(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * float("nan")


def test_what_gives_no_numbers_has_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctxbench.study.probes.cell.context_of", lambda case, seed: (Broken(), 64))
    with pytest.raises(UserError, match=r"the loss is nan at step 1 \(at each rate, 0.01, 0.02\)"):
        Trainer(cell("se", "row", steps=3, rates=(0.01, 0.02))).train()


@pytest.mark.slow
@pytest.mark.parametrize("task", list(TASKS))
def test_without_context_every_task_stays_at_chance(task: str) -> None:
    found = Trainer(cell("none", task, steps=150)).train()
    for side in (12, 16):
        of_map = 100 * np.array(found["hits"][str(side)]) / 3 / asked(task, side)  # over the three seeds
        error = of_map.std() / len(of_map) ** 0.5
        assert of_map.mean() < levels(task, side).chance_pct + 4 * error


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "task", "least"), [("emau", "majority", 30), ("nonlocal", "key", 90), ("rcca", "row", 45)]
)
def test_a_block_finds_the_context_it_is_made_for(module: str, task: str, least: float) -> None:
    """EMAU's batch norm moves by 3e-4 of the way in a step: without new statistics it is below chance."""
    found = Trainer(cell(module, task, seeds=(0,), steps=200, rates=(0.01,))).train()
    assert found["accuracy_pct"]["12"][0] > least
