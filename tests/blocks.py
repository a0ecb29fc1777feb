from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ctxbench.subject.bound import Binding
from ctxbench.subject.case import Case

BLOCKS = """
import os, signal, time
import torch
from torch import nn


def runs(x):  # counting passes fake tensors, which are a subclass
    return type(x) is torch.Tensor


class Good(nn.Module):
    def __init__(self, channels, gain=2.0):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)
        self.gain = gain

    def forward(self, x):
        return self.gain * self.conv(x)


class Steady(nn.Module):
    def forward(self, x):
        if runs(x):
            time.sleep(0.002)
        return x + 1


class Killed(nn.Module):
    def forward(self, x):
        if runs(x):
            os.kill(os.getpid(), signal.SIGKILL)
        return x


class Leaves(nn.Module):
    def forward(self, x):
        if runs(x):
            os._exit(3)
        return x


class Sleeps(nn.Module):
    def forward(self, x):
        while runs(x):
            time.sleep(1)
        return x


class Greedy(nn.Module):
    def forward(self, x):
        if runs(x):
            torch.empty(2**46)
        return x


class Hungry(nn.Module):
    def forward(self, x):
        return torch.empty(2**44).sum() + x


class Raises(nn.Module):
    def forward(self, x):
        raise KeyError("no such map")


class Quits(nn.Module):
    def forward(self, x):
        if runs(x):
            raise SystemExit(5)
        return x


class Needs(nn.Module):
    def __init__(self, channels):
        raise AssertionError("need div")


class Flat(nn.Module):
    def forward(self, x):
        return x.flatten(1)


class NotANumber(nn.Module):
    def forward(self, x):
        return (x - x) / (x - x)


class Moves(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x):
        self.seen += 1
        return x + self.seen


class Pooled(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x):
        return x + self.norm(x.mean((2, 3), keepdim=True))


class Pointer(nn.Module):
    def forward(self, x):
        import ctypes
        return x * ctypes.c_float.from_address(0 if not runs(x) else x.data_ptr()).value


class Crashes(nn.Module):
    def __init__(self, channels):
        super().__init__()
        os.kill(os.getpid(), signal.SIGSEGV)


class Slow(nn.Module):  # two seconds of a processor in every call
    def forward(self, x):
        if runs(x):
            start = time.process_time()
            while time.process_time() - start < 2.0:
                pass
        return x + 1


class Spins(nn.Module):
    def forward(self, x):
        while runs(x):
            pass
        return x


class Fickle(nn.Module):
    calls = 0

    def forward(self, x):
        self.calls += 1
        return x.repeat(1, self.calls, 1, 1)
"""


@pytest.fixture(scope="session")
def case(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Case]:
    """Makes cases over the classes above, small enough to take microseconds."""
    path: Path = tmp_path_factory.mktemp("blocks") / "blocks.py"
    path.write_text(BLOCKS)

    def make(name: str, **conditions: object) -> Case:
        takes_channels = f"class {name}(nn.Module):\n    def __init__(self, channels" in BLOCKS
        binding = Binding({"channels": "=C"} if takes_channels else {})
        small = Case(f"{path}:{name}", 8, 6, 5, implementation="single", binding=binding)
        return replace(small, **conditions)  # type: ignore[arg-type]

    return make
