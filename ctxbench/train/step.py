"""One step of training: passes forward and backward, their loss, and the optimizer's update."""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric, seed_everything
from lightning_fabric.plugins.precision import Precision
from torch import Tensor
from torch.nn import SyncBatchNorm, functional
from torch.optim import SGD, AdamW, Optimizer

from ctxbench.data.dataset import IGNORE
from ctxbench.errors import UserError
from ctxbench.networks.network import Segmenter
from ctxbench.train.checkpoint import write_tensors
from ctxbench.train.config import TrainConfig
from ctxbench.train.engine import USAGE, first_process

log = logging.getLogger(__name__)

Batches = Iterator[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Step:
    """What a step did: losses as the mean over its passes and all processes."""

    loss: float
    main: float
    aux: float
    lr: float
    """Of the backbone."""
    images_per_s: float
    wait_share: float
    """The part of its time spent waiting for data."""


class Stepper:
    """A network and its optimizer in the engine's hands; ``iterations`` steps bring the rate to 0."""

    def __init__(
        self, fabric: Fabric, precision: Precision, config: TrainConfig, network: Segmenter, iterations: int
    ) -> None:
        self.fabric, self.precision, self.config, self.iterations = fabric, precision, config, iterations
        if fabric.world_size > 1:
            if fabric.device.type == "cuda":
                SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
            elif first_process():
                log.warning("batch norm is not synchronised: SyncBatchNorm runs on GPUs alone")
        self.format = torch.channels_last if config.channels_last else torch.contiguous_format
        network.to(memory_format=self.format)  # type: ignore[call-overload]
        self.network = network
        body = list(network.backbone.parameters())
        known = set(body)
        heads = [parameter for parameter in network.parameters() if parameter not in known]
        groups: list[dict[str, Any]] = [
            {"params": body, "factor": 1.0},
            {"params": heads, "factor": config.head_lr_factor},
        ]
        self.rule: Optimizer = (
            SGD(groups, config.lr, momentum=config.momentum, weight_decay=config.weight_decay)
            if config.optimizer == "sgd"
            else AdamW(groups, config.lr, betas=(config.momentum, 0.999), weight_decay=config.weight_decay)
        )
        model: Any = torch.compile(network) if config.compile else network
        self.model, self.optimizer = fabric.setup(model, self.rule)

    def load_state(self, optimizer: dict[str, Any], scaler: dict[str, Any]) -> None:
        """Take up an optimizer and a loss scaler where they were kept."""
        self.rule.load_state_dict(optimizer)
        self.precision.load_state_dict(scaler)

    def step(self, iteration: int, batches: Batches, folder: Path) -> Step:
        """Take step ``iteration``, the first being 1, with the next ``accumulate`` of ``batches``.

        Raises UserError, before any weight has changed, where a loss is no number; ``folder`` then has the
        batch it came from.
        """
        config, fabric = self.config, self.fabric
        began, waited = time.perf_counter(), 0.0
        rate: float = config.lr * (1 - (iteration - 1) / self.iterations) ** config.power
        for group in self.rule.param_groups:
            group["lr"] = rate * group["factor"]
        seeds = np.random.SeedSequence([config.seed, iteration, fabric.global_rank])
        seed_everything(int(seeds.generate_state(1)[0]), verbose=False)
        losses = torch.zeros(fabric.world_size, 3, device=fabric.device)
        offending = None
        for part in range(config.accumulate):
            asked = time.perf_counter()
            images, labels = next(batches)
            waited += time.perf_counter() - asked
            images = images.to(fabric.device, non_blocking=True, memory_format=self.format)
            labels = labels.to(fabric.device, non_blocking=True)
            with fabric.no_backward_sync(self.model, enabled=part + 1 < config.accumulate):
                main, auxiliary = (
                    cross_entropy(logits, labels) if logits is not None else losses.new_zeros(())
                    for logits in self.model(images)
                )
                loss = main + config.aux_weight * auxiliary
                fabric.backward(loss / config.accumulate)
            losses[fabric.global_rank] += torch.stack([loss, main, auxiliary]).detach() / config.accumulate
            if not torch.isfinite(loss):
                offending = {"images": images.cpu(), "labels": labels.cpu()}
        every = fabric.all_reduce(losses, reduce_op="sum")
        assert isinstance(every, Tensor)
        if not torch.isfinite(every).all():
            self._stop(iteration, every[:, 0], offending, folder / "nan-batch.pt")
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._average_buffers()
        mean = every.mean(0).tolist()
        spent = time.perf_counter() - began
        return Step(
            loss=mean[0],
            main=mean[1],
            aux=mean[2],
            lr=rate,
            images_per_s=config.batch / spent,
            wait_share=waited / spent,
        )

    def _average_buffers(self) -> None:
        """Give all processes the mean of what each has found in its images, such as EMAU's bases."""
        buffers = [buffer for buffer in self.network.buffers() if buffer.is_floating_point()]
        if self.fabric.world_size == 1 or not buffers:
            return
        mean = self.fabric.all_reduce(torch.cat([buffer.flatten() for buffer in buffers]), reduce_op="mean")
        assert isinstance(mean, Tensor)
        parts = torch.split(mean, [buffer.numel() for buffer in buffers])
        for buffer, part in zip(buffers, parts, strict=True):
            buffer.copy_(part.view_as(buffer))

    def _stop(self, iteration: int, losses: Tensor, offending: dict[str, Tensor] | None, path: Path) -> None:
        """End all processes alike; the first whose loss is no number keeps its batch."""
        first = int((~torch.isfinite(losses)).nonzero()[0])
        if self.fabric.global_rank == first and offending is not None:
            write_tensors(path, offending)
        self.fabric.barrier()
        if not first_process():
            raise SystemExit(USAGE)
        safer = "" if self.config.precision == "32-true" else ", or precision=32-true"
        raise UserError(
            f"the loss is {losses[first]:g} at iteration {iteration}; its batch is in {path}: "
            f"look at it, or try an lr below {self.config.lr:g}{safer}"
        )


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross entropy of (N, K, H, W) with (N, H, W) over pixels not ignored; 0 where all are."""
    counted = (labels != IGNORE).sum().clamp(min=1)
    # summed here, for a sum within cross_entropy differs from run to run on a GPU
    return functional.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="none").sum() / counted
