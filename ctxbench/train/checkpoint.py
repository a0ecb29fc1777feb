"""The state of a training in one file, written whole and read without running code from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any

import msgspec
import torch
from msgspec import Meta
from torch import Tensor, nn

from ctxbench.errors import UserError, in_one_line
from ctxbench.files import written_whole
from ctxbench.networks.tensor_files import load_tensors
from ctxbench.networks.weights import compare

MAX_KEYS = 3
"""Differing keys that an error names."""


@dataclass(frozen=True)
class Checkpoint:
    """All that the next iteration depends on, but for the data.

    The data and every random number follow from the configuration's seed and the iteration: no state of a
    generator is kept, and so none has to be kept for each process.
    """

    model: dict[str, Any]
    optimizer: dict[str, Any]
    """Empty in best.ckpt, which nobody goes on from."""
    scaler: dict[str, Any]
    """Of 16-mixed's loss; else empty."""
    iteration: Annotated[int, Meta(ge=0)]
    """Steps done."""
    best: float | None
    """Highest mIoU of the evaluations so far, in percent."""
    samples: int
    """In the training set."""
    classes: list[str]
    config: str
    """:attr:`ctxbench.train.config.TrainConfig.digest`."""
    evaluated: int | None = None
    """The iteration of the last evaluation that ``best`` and the logs have in them; None in a file of an
    earlier version, which was written after whatever evaluation was due."""

    def write(self, path: Path) -> None:
        """Write the file whole. Raises UserError where it cannot be written; the former one then stands."""
        write_tensors(path, vars(self))

    @classmethod
    def read(cls, path: Path) -> "Checkpoint":
        """Read a file, on the CPU. Raises UserError where it is missing, damaged or not one of these."""
        try:
            values = load_tensors(path)
            if not isinstance(values, dict):
                raise ValueError(f"it holds no table, but {type(values).__name__}")
            return msgspec.convert(values, cls, strict=True)
        except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
            raise UserError(f"cannot read {path}: {error.strerror}") from error
        except Exception as error:  # values of other types, among them
            raise UserError(f"{path} is no checkpoint of ctxbench: {in_one_line(error)}") from error


def write_tensors(path: Path, values: Mapping[str, Any]) -> None:
    """Write what torch.load reads with ``weights_only``. Raises UserError where it cannot be written."""
    buffer = BytesIO()  # torch.save to a file hides what the system said of it, such as a full disk
    torch.save(dict(values), buffer)
    with written_whole(path) as new:
        new.write_bytes(buffer.getbuffer())


def load_model(network: nn.Module, state: Mapping[str, Tensor], origin: Path) -> None:
    """Load a network's weights, all of them. Raises UserError with the first keys that differ."""
    state = {key: value for key, value in state.items() if isinstance(value, Tensor)}
    report = compare(network, state)
    different = [f"{key} is missing" for key in report.missing]
    different += [f"{key} is unknown" for key in report.unexpected]
    different += [f"{key} is {shape}, not {wanted}" for key, shape, wanted in report.mismatched]
    if different:
        more = f", and {len(different) - MAX_KEYS} more" if len(different) > MAX_KEYS else ""
        raise UserError(f"{origin} is of another architecture: {', '.join(different[:MAX_KEYS])}{more}")
    network.load_state_dict(state)
