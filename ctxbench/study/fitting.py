"""What the trainings of all cells have in common: the learning rate's course, and batch norms at the end."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ctxbench.errors import UserError

RAMP = 20
"""Steps in which the learning rate rises from 0."""
POPULATION = 20
"""Batches over which batch norms take their statistics anew after training."""


class NoNumbersError(UserError):
    """A network's loss or scores are NaN or infinite."""


def share_of_rate(step: int, steps: int) -> float:
    """The part of the learning rate at a step, from 1: it rises for a while, and falls linearly to 0."""
    return min(step / RAMP, 1.0) * (1 - (step - 1) / steps)


@torch.no_grad()
def settle(network: nn.Module, batches: Iterable[Tensor], progress: Callable[[], None]) -> None:
    """Give batch norms the statistics of the trained network, over some of its batches, in training mode.

    Their running means are of networks that are no more, and with the momentum that some papers take
    (EMANet's 3e-4) of the first one.
    """
    for part in network.modules():
        if isinstance(part, _BatchNorm):
            part.reset_running_stats()
            part.momentum = None  # the mean over batches
    for batch, _ in zip(batches, range(POPULATION), strict=False):
        network(batch)
        progress()
