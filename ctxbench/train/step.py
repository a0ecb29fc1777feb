"""One step of training: passes forward and backward, their loss, and the optimizer's update.

N crops of a micro-batch, K classes, S the crop's side, R ranks.
"""

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric, seed_everything
from lightning_fabric.plugins.precision import Precision
from torch import Tensor
from torch.nn import SyncBatchNorm
from torch.optim import SGD, AdamW, Optimizer

from ctxbench.errors import UserError, in_one_line
from ctxbench.networks.losses import LOSSES, cross_entropy
from ctxbench.networks.network import Segmenter
from ctxbench.networks.registry import find
from ctxbench.train.checkpoint import write_tensors
from ctxbench.train.config import TrainConfig
from ctxbench.train.launch.engine import is_rank_zero
from ctxbench.train.launch.ranks import rank_zero_says
from ctxbench.train.launch.stopping import Stop

log = logging.getLogger(__name__)

Batches = Iterator[tuple[Tensor, Tensor]]
"""Images (N, 3, S, S) and labels (N, S, S)."""
STATE = {"sgd": {"momentum_buffer"}, "adamw": {"step", "exp_avg", "exp_avg_sq"}}
"""What the optimizers keep for each parameter."""


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
    stopping: bool = False
    """Whether some rank was asked to stop after it."""
    others: Mapping[str, float] = field(default_factory=dict)
    """The network's further losses by name, unweighted as ``main`` and ``aux`` are."""


class Stepper:
    """A network and its optimizer in the engine's hands; ``iterations`` steps bring the rate to 0."""

    def __init__(
        self, fabric: Fabric, precision: Precision, config: TrainConfig, network: Segmenter, iterations: int
    ) -> None:
        self.fabric, self.precision, self.config, self.iterations = fabric, precision, config, iterations
        if fabric.world_size > 1:
            if fabric.device.type == "cuda":
                SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
            elif is_rank_zero():
                log.warning("batch norm is not synchronised: SyncBatchNorm runs on GPUs alone")
        # before setup(), since DDP lays its buckets of gradients out as the weights are
        self.format = torch.channels_last if config.channels_last else torch.contiguous_format
        network.to(memory_format=self.format)  # type: ignore[call-overload]
        self.network = network
        body = list(network.backbone.parameters())
        in_body = set(body)
        heads = [parameter for parameter in network.parameters() if parameter not in in_body]
        undecayed = {
            parameter
            for path in find(config.model).undecayed
            for parameter in network.head.get_submodule(path).parameters()
        }
        groups: list[dict[str, Any]] = [
            {"params": body, "factor": 1.0},
            {"params": [p for p in heads if p not in undecayed], "factor": config.head_lr_factor},
        ]
        if undecayed:
            still = [p for p in heads if p in undecayed]
            groups.append({"params": still, "factor": config.head_lr_factor, "weight_decay": 0.0})
        # Fabric wraps an optimizer, and keeps no state of its own in the wrapper
        self.raw_optimizer: Optimizer = (
            SGD(groups, config.lr, momentum=config.momentum, weight_decay=config.weight_decay)
            if config.optimizer == "sgd"
            else AdamW(groups, config.lr, betas=(config.momentum, 0.999), weight_decay=config.weight_decay)
        )
        model: Any = torch.compile(network) if config.compile else network
        self.model, self.optimizer = fabric.setup(model, self.raw_optimizer)

    def load_state(self, optimizer: Mapping[str, Any], scaler: Mapping[str, Any], origin: Path) -> None:
        """Take up an optimizer and a loss scaler where they were kept.

        Rates, decays and the like stay the configuration's. Raises UserError, naming ``origin``, where the
        state is of another optimizer or of another network.
        """
        chosen = [
            {key: value for key, value in group.items() if key != "params"}
            for group in self.raw_optimizer.param_groups
        ]
        try:
            self.raw_optimizer.load_state_dict(dict(optimizer))
            self.precision.load_state_dict(dict(scaler))
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise UserError(
                f"{origin} has no state of {self.config.optimizer} that fits: {in_one_line(error)}"
            ) from error
        for group, values in zip(self.raw_optimizer.param_groups, chosen, strict=True):
            group.update(values)
        for parameter, state in self.raw_optimizer.state.items():
            if misfit := _misfit(parameter, state, STATE[self.config.optimizer]):
                raise UserError(f"{origin} has no state of {self.config.optimizer} that fits: {misfit}")

    def step(self, iteration: int, batches: Batches, folder: Path, stop: Stop | None = None) -> Step:
        """Take step ``iteration``, the first being 1, with the next ``accumulate`` of ``batches``.

        All ranks return the same, but for times: whether to ``stop`` after it, too.

        Raises UserError, before any weight has changed, where a loss is no number; ``folder`` then has the
        batch it came from.
        """
        config, fabric = self.config, self.fabric
        began, waited = time.perf_counter(), 0.0
        rate: float = config.lr * (1 - (iteration - 1) / self.iterations) ** config.power
        for group in self.raw_optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        # dropout is another on each rank, and the same when the iteration is taken again after a resume
        seeds = np.random.SeedSequence([config.seed, iteration, fabric.global_rank])
        seed_everything(int(seeds.generate_state(1)[0]), verbose=False)
        # loss, main, auxiliary, others, and whether the rank was asked to stop: one reduction for all
        others = self.network.losses
        totals = torch.zeros(fabric.world_size, 4 + len(others), device=fabric.device)  # (R, 4 + others)
        offending = None
        for part in range(config.accumulate):
            asked = time.perf_counter()
            images, labels = next(batches)
            waited += time.perf_counter() - asked
            images = images.to(fabric.device, non_blocking=True, memory_format=self.format)
            labels = labels.to(fabric.device, non_blocking=True)
            # gradients add up locally; the ranks exchange them in the last pass alone
            with fabric.no_backward_sync(self.model, enabled=part + 1 < config.accumulate):
                main_logits, auxiliary_logits, *outputs = self.model(images)
                main = cross_entropy(main_logits, labels)
                auxiliary = totals.new_zeros(())
                if auxiliary_logits is not None:
                    auxiliary = cross_entropy(auxiliary_logits, labels)
                further = [LOSSES[name](output, labels) for name, output in zip(others, outputs, strict=True)]
                loss = main + config.aux_weight * auxiliary
                for weight, value in zip(others.values(), further, strict=True):
                    loss = loss + weight * value
                fabric.backward(loss / config.accumulate)
            losses = torch.stack([loss, main, auxiliary, *further])  # (3 + others,)
            totals[fabric.global_rank, :-1] += losses.detach() / config.accumulate
            if not torch.isfinite(loss):
                offending = {"images": images.cpu(), "labels": labels.cpu()}
        totals[fabric.global_rank, -1] = float(stop is not None and stop.asked)
        every = fabric.all_reduce(totals, reduce_op="sum")
        assert isinstance(every, Tensor)
        # all ranks see all losses: none goes on to wait for one that has stopped
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
            stopping=mean[-1] > 0,
            others=dict(zip(others, mean[3:-1], strict=True)),
        )

    def _average_buffers(self) -> None:
        """Give all ranks the mean of what each has gathered from its images, such as EMAU's bases."""
        buffers = [buffer for buffer in self.network.buffers() if buffer.is_floating_point()]
        if self.fabric.world_size == 1 or not buffers:
            return
        flat = torch.cat([buffer.flatten() for buffer in buffers])  # (all elements,)
        mean = self.fabric.all_reduce(flat, reduce_op="mean")
        assert isinstance(mean, Tensor)
        parts = torch.split(mean, [buffer.numel() for buffer in buffers])
        for buffer, part in zip(buffers, parts, strict=True):
            buffer.copy_(part.view_as(buffer))  # the buffer's own shape

    def _stop(self, iteration: int, losses: Tensor, offending: dict[str, Tensor] | None, path: Path) -> None:
        """End all ranks alike; the first whose loss, of (R,), is no number keeps its batch."""
        first = int((~torch.isfinite(losses)).nonzero()[0])
        if self.fabric.global_rank == first and offending is not None:
            write_tensors(path, offending)
        self.fabric.barrier()
        safer = "" if self.config.precision == "32-true" else ", or precision=32-true"
        with rank_zero_says():
            raise UserError(
                f"the loss is {losses[first]:g} at iteration {iteration}; its batch is in {path}: "
                f"look at it, or try an lr below {self.config.lr:g}{safer}"
            )


def _misfit(parameter: Any, state: Any, wanted: set[str]) -> str:
    """In what an optimizer's state of a parameter is not one of its own; empty where it is."""
    if not isinstance(parameter, Tensor) or not isinstance(state, dict):
        return "it is of another network"
    kept = {key: value for key, value in state.items() if value is not None}
    if kept and kept.keys() != wanted:
        return f"it holds {', '.join(sorted(map(str, kept)))}, not {', '.join(sorted(wanted))}"
    for key, value in kept.items():
        if not isinstance(value, Tensor) or value.shape not in (parameter.shape, *[()] * (key == "step")):
            return f"its {key} is of another shape than the parameter"
    return ""
