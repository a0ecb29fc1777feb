"""The device, precision and processes of a training, through Lightning Fabric."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.plugins.precision import MixedPrecision, Precision
from lightning_fabric.strategies.ddp import DDPStrategy

from ctxbench.errors import UserError
from ctxbench.files import locked, writing
from ctxbench.subject import registry
from ctxbench.train.config import TrainConfig
from ctxbench.train.run import CONFIG

USAGE, INTERRUPTED = 2, 130
"""Exit codes of a process that stopped at bad input, and of one that was interrupted."""


def is_rank_zero() -> bool:
    """Whether this process is the one that writes and prints; known before any other is started."""
    return os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")) == "0"


def under_torchrun() -> bool:
    """Whether torchrun started this process, and so all the others."""
    return bool(TorchElasticEnvironment.detect())


def world_size(config: TrainConfig) -> int:
    """How many processes train together, on all nodes."""
    return int(os.environ["WORLD_SIZE"]) if under_torchrun() else config.devices


def local_world_size(config: TrainConfig) -> int:
    """How many of them on this machine."""
    return int(os.environ["LOCAL_WORLD_SIZE"]) if under_torchrun() else config.devices


def micro_batch_size(config: TrainConfig) -> int:
    """Crops in one pass of one process. Raises UserError where the batch does not divide."""
    parts = world_size(config) * config.accumulate
    if config.batch % parts:
        below, above = config.batch // parts * parts, -(-config.batch // parts) * parts
        fits = f"{below} or {above}" if below else str(above)
        raise UserError(
            f"batch {config.batch} does not divide by {world_size(config)} processes × accumulate "
            f"{config.accumulate} = {parts}: take {fits}"
        )
    return config.batch // parts


def device_of(config: TrainConfig) -> str:
    """The device's kind, cpu or cuda. Raises UserError where machine or precision do not allow it."""
    device = config.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and local_world_size(config) > torch.cuda.device_count():
        raise UserError(
            f"{local_world_size(config)} GPUs were asked for; torch sees {torch.cuda.device_count()}"
        )
    if device == "cpu" and config.precision == "16-mixed":
        raise UserError("16-mixed needs a GPU; on a CPU take 32-true, or bf16-mixed where it has bfloat16")
    return device


def precision_of(config: TrainConfig, device: str) -> Precision:
    """Fabric's plugin, which holds the loss scaler of 16-mixed."""
    return Precision() if config.precision == "32-true" else MixedPrecision(config.precision, device)


def fabric_of(config: TrainConfig, device: str, precision: Precision) -> Fabric:
    """The engine of :func:`world_size` processes; :func:`ctxbench.train.ranks.launched` starts them."""
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    local, world = local_world_size(config), world_size(config)
    # DDP waits for ever on a parameter that gets no gradient unless it searches for such ones at each step,
    # which takes time: our own modules have none, a user's module may
    user_module = config.context not in (None, "none", *registry.SPECS)
    ddp = DDPStrategy(find_unused_parameters=user_module)
    return Fabric(
        accelerator=device,
        devices=local,
        num_nodes=world // local,
        strategy=ddp if world > 1 else "auto",
        plugins=[precision, TorchElasticEnvironment() if under_torchrun() else LightningEnvironment()],
    )


@contextmanager
def claimed(folder: Path, fresh: bool) -> Iterator[None]:
    """Hold a run's folder, made where it is missing, for this process alone.

    Raises UserError where that cannot be, or, for a ``fresh`` run, where it already holds one.
    """

    def refuse_another_run() -> None:
        if fresh and (folder / CONFIG).exists():
            raise UserError(
                f"{folder} already holds a run: go on with it by --resume, or choose another --out"
            )

    refuse_another_run()  # before anything is made
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        refuse_another_run()  # that another process has begun since
        yield


@contextmanager
def deterministic(wanted: bool) -> Iterator[None]:
    """Within it, torch takes what does not differ from run to run, and warns of what has no such form."""
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    if wanted:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
