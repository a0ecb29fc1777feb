"""One cell of the probes: a block, a task and a map size, trained from several seeds in one process.

N maps of H = W = side; D symbols of all fields, C channels, C' of the block's map, K classes.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ctxbench.data.dataset import IGNORE
from ctxbench.errors import UserError
from ctxbench.networks.resnet import conv_bn_relu
from ctxbench.study.context import context_of
from ctxbench.study.fitting import NoNumbersError, fit
from ctxbench.study.probes.spec import PROBED, TEST, TRAIN, VALIDATION, ProbeCell
from ctxbench.study.probes.tasks import TASKS, Labels, Symbols, Task

AT_ONCE = 64
"""Maps that are evaluated together."""


class Probe(nn.Module):
    """1×1 to C channels, the block, both concatenated, 1×1 to C, and a 1×1 classifier.

    Each 1×1 but the last has batch norm and ReLU. Without a block a position sees itself alone: nothing is
    padded, and in eval mode nothing is shared. ``block_channels`` are C', 0 without a block.
    """

    def __init__(
        self, symbols: int, classes: int, channels: int, block: nn.Module | None, block_channels: int
    ) -> None:
        super().__init__()
        self.embed = nn.Sequential(*conv_bn_relu(symbols, channels, 1))
        self.block = block
        self.fuse = nn.Sequential(*conv_bn_relu(channels + block_channels, channels, 1))
        self.classify = nn.Conv2d(channels, classes, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, D, H, W) to logits (N, K, H, W)."""
        x = self.embed(maps)  # (N, C, H, W)
        if self.block is not None:
            x = torch.cat([x, self.block(x)], 1)  # (N, C + C', H, W)
        logits: Tensor = self.classify(self.fuse(x))  # (N, K, H, W)
        return logits


class Trainer:
    """What a cell's process does for its parent."""

    def __init__(self, cell: ProbeCell, progress: Callable[[], None] = lambda: None) -> None:
        """``progress`` is called after every step."""
        self._cell, self._progress = cell, progress
        self._task = TASKS[cell.task]
        self._side = cell.case.height

    def train(self) -> dict[str, Any]:
        """Train from each seed at the rate that the first does best with, and test at each map size.

        Returns ``rate``; by side ``accuracy_pct``, a list over seeds, and ``hits``, the right positions of
        each test map summed over seeds; a side that the block cannot take is in ``reasons`` instead.

        Raises UserError where the block cannot be built, or its network gives no numbers at any rate.
        """
        cell, first = self._cell, self._cell.seeds[0]
        scores: dict[float, float] = {}
        networks: dict[float, Probe] = {}
        why = ""
        for rate in cell.rates:
            try:
                networks[rate] = self._trained(first, rate)
                scores[rate] = self._score(networks[rate], *self._maps(VALIDATION, self._side)).mean()
            except NoNumbersError as error:
                why = f"{error} (at each rate, {', '.join(f'{each:g}' for each in cell.rates)})"
        if not scores:
            raise UserError(why)
        best = max(scores, key=scores.__getitem__)
        of_seeds = [networks[best], *(self._trained(seed, best) for seed in cell.seeds[1:])]
        found: dict[str, Any] = {"rate": best, "accuracy_pct": {}, "hits": {}, "reasons": {}}
        for side in cell.sides:
            symbols, labels = self._maps(TEST, side)
            try:
                hits = np.stack([self._hits(network, symbols, labels) for network in of_seeds])  # (seeds, N)
            except Exception as error:
                if side == self._side:
                    raise
                found["reasons"][str(side)] = f"its weights are for maps of {self._side}: {error}"
                continue
            asked = int((labels != IGNORE).sum())
            found["accuracy_pct"][str(side)] = [100 * float(each) / asked for each in hits.sum(1)]
            found["hits"][str(side)] = hits.sum(0).tolist()
        return found

    def _maps(self, stream: int, side: int) -> tuple[Symbols, Labels]:
        return self._task.sample(stream, 0, PROBED[stream], side)

    def _trained(self, seed: int, rate: float) -> Probe:
        """A network in eval mode. Raises NoNumbersError where its loss is no number."""
        cell, task = self._cell, self._task
        torch.manual_seed(seed)
        block, block_channels = context_of(cell.case, seed)
        network = Probe(sum(task.fields), task.classes, cell.case.channels, block, block_channels)
        batches = partial(self._batches, seed)
        fit(network, batches, rate=rate, steps=cell.steps, decay=0.0, progress=self._progress)
        return network

    def _batches(self, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """(N, D, H, W) and labels (N, H, W) for every step."""
        cell = self._cell
        symbols, labels = self._task.sample(TRAIN, seed, cell.steps * cell.batch, self._side)
        for start in range(0, len(symbols), cell.batch):
            part = slice(start, start + cell.batch)
            yield one_hot(self._task, symbols[part]), torch.from_numpy(labels[part])

    @torch.inference_mode()
    def _hits(self, network: Probe, symbols: Symbols, labels: Labels) -> Any:
        """How many positions of each map, (N,), get their label."""
        hits = []
        for start in range(0, len(symbols), AT_ONCE):
            logits = network(one_hot(self._task, symbols[start : start + AT_ONCE]))  # (N, K, H, W)
            if not torch.isfinite(logits).all():
                raise NoNumbersError("the trained network's scores are no numbers")
            hits.append((logits.argmax(1).numpy() == labels[start : start + AT_ONCE]).sum((1, 2)))
            self._progress()
        return np.concatenate(hits)

    def _score(self, network: Probe, symbols: Symbols, labels: Labels) -> Any:
        """The share of each map's labels, (N,), that the network gives."""
        return self._hits(network, symbols, labels) / np.maximum((labels != IGNORE).sum((1, 2)), 1)


def one_hot(task: Task, symbols: Symbols) -> Tensor:
    """Symbols (N, F, H, W) as float32 (N, D, H, W), one channel for each symbol of each field."""
    fields = [
        functional.one_hot(torch.from_numpy(symbols[:, place]), count)  # (N, H, W, symbols)
        for place, count in enumerate(task.fields)
    ]
    return torch.cat(fields, 3).permute(0, 3, 1, 2).float().contiguous()  # (N, D, H, W)
