"""Lifetimes of storages, bytes moved, and what autograd keeps, against hand-made timelines."""

from collections.abc import Callable
from itertools import accumulate

import pytest
import torch
from tokens import Tokens
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.checkpoint import checkpoint

from ctxbench.tracing import trace, views

SHAPE = (1, 4, 8, 8)
X = 4 * 8 * 8 * 4  # bytes of one float32 map of SHAPE


class Chain(nn.Module):
    """Three maps in a row; each dies when the next is made."""

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(3):
            x = x.sin()
        return x


class Hoarder(nn.Module):
    """The same three maps, all kept to the end."""

    def forward(self, x: Tensor) -> Tensor:
        maps = [x]
        for _ in range(3):
            maps.append(maps[-1].sin())
        return maps[-1]


def test_a_storage_dies_when_python_drops_it() -> None:
    assert views.peak_bytes(trace(Chain(), SHAPE)) == 2 * X
    assert views.peak_bytes(trace(Hoarder(), SHAPE)) == 3 * X


def test_the_timeline_ends_with_the_output_alone() -> None:
    recorded = trace(Hoarder(), SHAPE)
    assert views.timeline(recorded)[-1] in (X, 3 * X)
    assert min(views.timeline(recorded)) > 0


def test_training_keeps_what_the_backward_pass_needs_and_makes_gradients() -> None:
    recorded = trace(Chain(), SHAPE, mode="train")
    assert views.saved_bytes(recorded) == 2 * X  # cos(input) needs x itself (given) and two maps
    assert views.peak_bytes(recorded) >= 3 * X


def test_views_and_in_place_operations_allocate_nothing() -> None:
    class InPlace(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(2).transpose(1, 2).mul(2).add_(1).relu_().transpose(1, 2).reshape(x.shape)

    recorded = trace(InPlace(), SHAPE)
    assert views.peak_bytes(recorded) == X + 12  # the number that is added, as a tensor, in both types
    assert views.flops(recorded) == 3 * X // 4


def test_bytes_count_distinct_elements_once() -> None:
    class Broadcast(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mean((2, 3), keepdim=True).expand_as(x) * x

    recorded = trace(Broadcast(), SHAPE)
    assert views.bytes_moved(recorded) == (X + 16) + (16 + X + X)


def test_a_storage_that_grows_is_rounded_as_a_whole() -> None:
    class Grows(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = x.new_empty(100)
            for size in (150, 10, 200):
                y.resize_(size)
            return x + y[:1]

    recorded = trace(Grows(), (1, 1, 1, 1))
    rounded = views.timeline(recorded, views.CUDA_BLOCK)
    assert rounded[:3] == [512, 1024, 1024]  # 400, 600 and 800 bytes; shrinking gives nothing back
    assert all(size % views.CUDA_BLOCK == 0 for size in rounded)


def test_cuda_rounding() -> None:
    recorded = trace(nn.Conv2d(4, 1, 1), (1, 4, 3, 3))
    assert views.peak_bytes(recorded) == 36
    assert views.peak_bytes(recorded, views.CUDA_BLOCK) == 512


@pytest.mark.parametrize(("dtype", "size"), [(torch.float64, 8), (torch.bfloat16, 2)])
def test_dtype_scales_memory_and_leaves_counts(dtype: torch.dtype, size: int) -> None:
    single, other = trace(nn.Conv2d(4, 4, 1), SHAPE), trace(nn.Conv2d(4, 4, 1), SHAPE, dtype=dtype)
    assert views.peak_bytes(other) == views.peak_bytes(single) * size // 4
    assert views.flops(other) == views.flops(single)


class Products(nn.Module):
    """Matrix products and a soft-max: no kernel here has a workspace, which convolutions on the CPU do."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(64, 96) / 8)

    def forward(self, x: Tensor) -> Tensor:
        q = x.flatten(2).mT @ self.weight
        return ((q @ q.mT).softmax(-1) @ q).mT.reshape(x.shape[0], 96, *x.shape[2:]).sigmoid()


def allocator_peak(run: Callable[[], object]) -> int:
    """Peak of the CPU allocator's own log over a call whose result stays alive."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        kept = run()
    sizes = [e.nbytes() for e in seen.profiler.kineto_results.events() if e.name() == "[memory]"]
    assert kept is not None
    return max(accumulate(sizes))


@pytest.mark.parametrize("mode", ["infer", "train"])
def test_prediction_equals_the_cpu_allocator_on_a_real_run(mode: str) -> None:
    """The allocator's own log, on real tensors, against lifetimes seen on fake ones."""
    module, train = Products(), mode == "train"
    x = torch.randn(1, 64, 24, 20, requires_grad=train)
    upstream = torch.randn(1, 96, 24, 20)

    def step() -> Tensor:
        y: Tensor = module(x)
        if train:
            y.backward(upstream)
        return y

    with torch.set_grad_enabled(train):
        peak = allocator_peak(step)
    assert views.peak_bytes(trace(module, (1, 64, 24, 20), mode=mode)) == pytest.approx(peak, rel=0.01)


class Stack(nn.Module):
    """Four convolutions with sigmoids, checkpointed as ``how`` says."""

    def __init__(self, how: bool | None) -> None:
        super().__init__()
        self.parts = nn.Sequential(*(nn.Sequential(nn.Conv2d(4, 4, 1), nn.Sigmoid()) for _ in range(4)))
        self.how = how

    def forward(self, x: Tensor) -> Tensor:
        return self.parts(x) if self.how is None else checkpoint(self.parts, x, use_reentrant=self.how)


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointing_saves_nothing_and_runs_the_forward_again(reentrant: bool) -> None:
    plain, checkpointed = (trace(Stack(how), SHAPE, mode="train") for how in (None, reentrant))
    forward = views.macs(plain)
    assert (views.macs(plain, "backward"), views.saved_bytes(plain)) == (2 * forward, 4 * X)
    assert (views.macs(checkpointed), views.macs(checkpointed, "backward")) == (forward, 3 * forward)
    assert views.saved_bytes(checkpointed) == 0


def test_a_tensor_the_module_holds_without_registering_it_is_no_allocation() -> None:
    class Positions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoding = torch.zeros(4, 64)

        def forward(self, x: Tensor) -> Tensor:
            return x.sigmoid() * self.encoding.view(1, 4, 8, 8)

    assert views.peak_bytes(trace(Positions(), SHAPE)) == 2 * X
    assert views.saved_bytes(trace(Positions(), SHAPE, mode="train")) == X


@pytest.mark.parametrize("layer", [nn.MultiheadAttention, nn.TransformerEncoderLayer])
def test_what_fused_attention_allocates_inside_is_predicted(layer: type[nn.Module]) -> None:
    module = Tokens(layer(16, 2, batch_first=True)).eval()
    x = torch.randn(2, 16, 9, 7)
    with torch.no_grad():
        assert views.peak_bytes(trace(module, (2, 16, 9, 7))) == allocator_peak(lambda: module(x))
