"""The training that all cells have in common, and batch norms at its end."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import AdamW

from ctxbench.data.dataset import IGNORE
from ctxbench.errors import UserError

RAMP = 20
"""Steps in which the learning rate rises from 0."""
POPULATION = 20
"""Batches over which batch norms take their statistics anew after training."""


class NoNumbersError(UserError):
    """A network's loss or scores are NaN or infinite."""


def fit(
    network: nn.Module,
    batches: Callable[[], Iterable[tuple[Tensor, Tensor]]],
    *,
    rate: float,
    steps: int,
    decay: float,
    progress: Callable[[], None],
) -> None:
    """Train a network on ``batches``, maps (N, C, H, W) and labels (N, H, W) of each step; leave it in eval.

    AdamW with ``decay``, cross-entropy of the logits (N, K, H, W). The learning rate rises to ``rate``, and
    falls to 0 at the last of so many ``steps``, which ``batches`` yields, the same each time it is called.
    ``progress`` is called after each step. Raises NoNumbersError where the loss is no number.
    """
    optimizer = AdamW(network.parameters(), lr=rate, weight_decay=decay)
    for step, (maps, labels) in enumerate(batches(), start=1):
        optimizer.param_groups[0]["lr"] = rate * _share_of_rate(step, steps)
        loss = functional.cross_entropy(network(maps), labels, ignore_index=IGNORE)
        if not torch.isfinite(loss):
            raise NoNumbersError(f"the loss is {loss.item():g} at step {step}")
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        progress()
    _settle(network, (maps for maps, _ in batches()), progress)
    network.eval()


def _share_of_rate(step: int, steps: int) -> float:
    """The part of the learning rate at a step, from 1: it rises for a while, and falls linearly to 0."""
    return min(step / RAMP, 1.0) * (1 - (step - 1) / steps)


@torch.no_grad()
def _settle(network: nn.Module, batches: Iterable[Tensor], progress: Callable[[], None]) -> None:
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
