"""The recorder: where operations ran, what it leaves behind (nothing), and what it refuses."""

import copy

import pytest
import torch
from torch import Tensor, nn

from ctxbench.errors import UserError
from ctxbench.tracing import trace, views


class Stage(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)).relu()


class Two(nn.Module):
    def __init__(self, channels: int = 4) -> None:
        super().__init__()
        self.first, self.second = Stage(channels), Stage(channels)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.second(self.first(x)) + x


@pytest.mark.parametrize("phase", ["forward", "backward"])
def test_operations_are_told_by_the_module_they_belong_to(phase: str) -> None:
    recorded = trace(Two(), (2, 4, 5, 5), mode="train")
    macs = {share.key: share.macs for share in views.by_module(recorded, phase)}
    each = 2 * 16 * 25 * (2 if phase == "backward" else 1)
    assert macs["first.conv"] == macs["second.conv"] == each
    assert sum(macs.values()) == views.macs(recorded, phase) == 2 * each


def test_a_module_called_twice_counts_twice() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(self.conv(x))

    assert views.macs(trace(Shared(), (1, 4, 3, 3))) == 2 * 16 * 9


@pytest.mark.parametrize("mode", ["infer", "train"])
def test_the_subject_is_left_bit_for_bit_as_it_was(mode: str) -> None:
    torch.manual_seed(3)
    module = Two().train(mode == "infer")
    module.first.conv.weight.requires_grad_(False)
    before = copy.deepcopy(module.state_dict())
    rng = torch.random.get_rng_state()
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in module.modules()]
    trace(module, (2, 4, 5, 5), mode=mode)
    assert torch.equal(rng, torch.random.get_rng_state())
    assert module.training is (mode == "infer")
    assert module.calls == 0
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    assert not module.first.conv.weight.requires_grad
    assert all(p.grad is None for p in module.parameters())
    assert hooks == [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in module.modules()]
    assert not torch.nn.modules.module._global_forward_hooks
    assert not torch.nn.modules.module._global_forward_pre_hooks


def test_hooks_are_removed_when_the_module_fails() -> None:
    class Fails(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        trace(Fails(), (1, 4, 3, 3))
    assert not torch.nn.modules.module._global_forward_hooks


def test_a_size_that_no_machine_could_run_is_counted() -> None:
    class Huge(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            q = x.flatten(2)
            return (q @ (q.mT @ q).softmax(-1)).reshape_as(x)

    recorded = trace(Huge, (1, 2048, 256, 256))
    assert views.macs(recorded) == 2 * 2048 * 65536**2
    assert views.peak_bytes(recorded) >= 2 * 65536**2 * 4


def test_control_flow_on_data_is_recorded_on_real_tensors_and_says_so() -> None:
    class Halting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 1)
            self.rate = torch.linspace(0, 1, 3)[1].item()

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x) if x.abs().sum().item() > 0 else x

    rng = torch.random.get_rng_state()
    recorded = trace(Halting, (1, 4, 3, 3))
    assert views.macs(recorded) == 16 * 9
    assert "real tensors" in recorded.note
    assert torch.equal(rng, torch.random.get_rng_state())


def test_channels_last_and_dtype_reach_weights_and_input() -> None:
    class Checks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 6, 3)
            self.tied = self.conv

        def forward(self, x: Tensor) -> Tensor:
            assert x.is_contiguous(memory_format=torch.channels_last)
            assert self.conv.weight.is_contiguous(memory_format=torch.channels_last)
            assert self.tied.weight is self.conv.weight
            assert x.dtype == self.conv.weight.dtype == torch.bfloat16
            return self.conv(x)

    assert trace(Checks, (1, 4, 8, 9), dtype=torch.bfloat16, layout="channels_last").dtype == "bfloat16"


class Words(nn.Module):
    def forward(self, x: Tensor) -> tuple[str, int]:
        return "map", x.shape[0]


def test_what_returns_no_tensor_is_refused_in_words() -> None:
    with pytest.raises(UserError, match="the module returned a tuple of str, int, and no tensor"):
        trace(Words(), (2, 4, 3, 3))


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[None, Tensor]:
        return None, x.flatten(1)


def test_any_shape_is_an_output_and_the_first_tensor_is_looked_at() -> None:
    assert trace(Pair(), (2, 4, 3, 3)).output_shape == (2, 36)
