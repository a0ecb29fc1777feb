"""The training of all cells: the learning rate's course, and batch norms of the network that was trained."""

import pytest
import torch
from torch import nn

from ctxbench.study.fitting import POPULATION, RAMP, NoNumbersError, _share_of_rate, fit


def test_the_rate_rises_for_a_while_and_falls_to_nothing() -> None:
    assert [_share_of_rate(step, 100) for step in (1, RAMP, 51, 100)] == pytest.approx(
        [0.05, 0.81, 0.5, 0.01]
    )


def test_batch_norms_have_the_mean_of_the_first_batches() -> None:
    """Of the input, which no weight changes: at a momentum of 3e-4 it would be near 0, where it began."""
    torch.manual_seed(0)
    drawn = [(torch.rand(4, 2, 3, 3) + 5, torch.randint(3, (4, 3, 3))) for _ in range(POPULATION + 5)]
    network, steps = nn.Sequential(nn.BatchNorm2d(2, momentum=3e-4), nn.Conv2d(2, 3, 1)), []
    fit(
        network, lambda: drawn, rate=0.1, steps=len(drawn), decay=0.0, progress=lambda: steps.append(1),
    )  # fmt: skip
    wanted = torch.stack([maps.mean((0, 2, 3)) for maps, _ in drawn[:POPULATION]]).mean(0)
    torch.testing.assert_close(network[0].running_mean, wanted)
    assert not network.training
    assert len(steps) == len(drawn) + POPULATION


def test_a_network_without_numbers_is_not_trained_on() -> None:
    batches = [(torch.full((1, 1, 2, 2), float("inf")), torch.zeros(1, 2, 2, dtype=torch.long))]
    with pytest.raises(NoNumbersError, match="the loss is nan at step 1"):
        fit(nn.Conv2d(1, 2, 1), lambda: batches, rate=0.1, steps=1, decay=0.0, progress=lambda: None)
