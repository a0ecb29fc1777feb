"""A block that does not fit is refused in one line, whatever torch would log of it beside."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

import ctxbench
from ctxbench.errors import UserError

BLOCKS = '''
import torch
from torch import nn


class Narrow(nn.Module):
    """The product of a map with one of 7 channels, which element-wise operations refuse."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, 7, 1)

    def forward(self, x):
        return x * self.convolution(x)


class AsksForData(Narrow):
    """Read on real tensors, since fake ones cannot tell a value."""

    def forward(self, x):
        return super().forward(x if x.sum().item() < 1e9 else -x)


class Positions(nn.Module):
    """A table of positions for maps of 9 x 9."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(1, channels, 9, 9))

    def forward(self, x):
        return torch.where(x > 0, x, self.table)
'''


@pytest.mark.parametrize(
    "command",
    [
        "explain blocks.py:Narrow --channels 32 --size 8",
        "explain blocks.py:AsksForData --channels 32 --size 8 --mode train",
        "sweep blocks.py:Positions --axis size --values 8,9,10 --channels 16",
        "decode blocks.py:Narrow 1.5G --channels 32 --size 8",
        pytest.param("train --context blocks.py:Narrow --set iterations=1", marks=pytest.mark.slow),
    ],
)
def test_a_block_that_does_not_fit(command: str, tmp_path: Path) -> None:
    (tmp_path / "blocks.py").write_text(BLOCKS)
    typed = [sys.executable, "-m", "ctxbench", *command.split()]
    ran = subprocess.run(typed, cwd=tmp_path, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (2, "")
    (line,) = ran.stderr.splitlines()
    assert line.startswith("ctxbench: ")
    assert "must match the size of tensor b" in line


class Narrow(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) and (N, 3, H, W), which do not go together unless C is 1 or 3."""
        return x + x[:, :3]


def test_torch_logs_as_before_once_a_count_has_failed(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    before = logger.level, list(logger.filters)
    with pytest.raises(UserError, match="must match"):
        ctxbench.count(Narrow(), (1, 5, 4, 4))
    assert (logger.level, logger.filters) == before
    mode = FakeTensorMode()
    with mode, caplog.at_level(logging.ERROR, logger.name):
        # Straight to the logger, since which of torch's loggers hand on to the root differs by version.
        monkeypatch.setattr(logger, "handlers", [caplog.handler])
        with pytest.raises(RuntimeError):
            Narrow()(torch.empty(1, 5, 4, 4))
    assert "failed while attempting to run meta" in caplog.text
