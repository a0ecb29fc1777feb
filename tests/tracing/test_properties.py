"""Equalities that hold for every network, over random ones: odd sides, rectangles, batches of 1 to 3."""

from itertools import accumulate, pairwise
from math import prod

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ctxbench.tracing import Trace, trace, views
from ctxbench.tracing.ops import INSIDE

side, width, batch, long = st.integers(1, 9), st.integers(1, 6), st.integers(1, 3), st.integers(2, 7)


@st.composite
def convolution(draw: st.DrawFn) -> tuple[nn.Module, tuple[int, int, int, int], int]:
    """A convolution, an input it takes, and its MACs by the closed form."""
    groups = draw(st.integers(1, 3))
    inp, out = groups * draw(width), groups * draw(width)
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 3)))
    stride, padding = draw(st.integers(1, 3)), draw(st.integers(0, 2))
    n, h, w = draw(batch), kernel[0] + draw(side), kernel[1] + draw(side)
    kind = draw(st.sampled_from((nn.Conv2d, nn.ConvTranspose2d)))
    padding = padding if kind is nn.Conv2d else 0
    layer = kind(inp, out, kernel, stride, padding, groups=groups, bias=draw(st.booleans()))
    sides = [(s + 2 * padding - k) // stride + 1 for s, k in zip((h, w), kernel, strict=True)]
    met = n * out * inp // groups * prod(kernel)
    return layer, (n, inp, h, w), met * (prod(sides) if kind is nn.Conv2d else h * w)


@settings(max_examples=60)
@given(convolution())
def test_convolutions(case: tuple[nn.Module, tuple[int, int, int, int], int]) -> None:
    layer, shape, macs = case
    recorded = trace(layer, shape, mode="train")
    assert views.macs(recorded) == macs
    assert views.macs(recorded, "backward") == 2 * macs
    assert not recorded.lower_bound


class Products(nn.Module):
    """Tokens through a stack of linear layers, then an einsum of them with each other."""

    def __init__(self, widths: list[int], equation: str) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.equation = equation

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).mT  # (N, L, C)
        for layer in self.layers:
            tokens = layer(tokens)
        y = torch.einsum(self.equation, tokens, tokens)
        return y[:, None].expand(x.shape[0], 1, *y.shape[1:])  # (N, 1, ., .)


EINSUMS = {"nic,njc->nij": lambda n, m, c: n * m * m * c, "nic,nid->ncd": lambda n, m, c: n * m * c * c}


@settings(max_examples=40)
@given(batch, long, side, st.lists(long, min_size=1, max_size=4), st.sampled_from(sorted(EINSUMS)))
def test_linear_layers_and_einsum(n: int, h: int, w: int, widths: list[int], equation: str) -> None:
    """Over more than one term each: a sum of one is no product of matrices but an element-wise one."""
    recorded = trace(lambda: Products(widths, equation), (n, widths[0], h, w))
    tokens = n * h * w
    layers = tokens * sum(a * b for a, b in pairwise(widths))
    assert views.macs(recorded) == layers + EINSUMS[equation](n, h * w, widths[-1])


def most_alive(recorded: Trace) -> int:
    """The peak but for what kernels take inside a call, where each image is not treated alike."""
    return max(accumulate(event.bytes for event in recorded.events if event.storage != INSIDE))


BLOCKS = {
    "conv": lambda c: nn.Conv2d(c, c, 3, padding=1),
    "norm": nn.BatchNorm2d,
    "gelu": lambda c: nn.GELU(),
    "pool": lambda c: nn.MaxPool2d(3, 1, 1),
    "nested": lambda c: nn.Sequential(nn.Conv2d(c, 2 * c, 1), nn.ReLU(), nn.Conv2d(2 * c, c, 1)),
}


@settings(max_examples=40)
@given(
    batch, st.integers(2, 6), side, side, st.lists(st.sampled_from(sorted(BLOCKS)), min_size=1, max_size=5)
)
def test_modules_and_operations_sum_to_the_total_and_a_batch_is_so_many_maps(
    n: int, c: int, h: int, w: int, names: list[str]
) -> None:
    module = nn.Sequential(*(BLOCKS[name](c) for name in names))
    recorded = trace(module, (n, c, 1 + h, 1 + w), mode="train")
    for phase in ("forward", "backward"):
        for shares in (views.by_module(recorded, phase), views.by_op(recorded, phase)):
            assert sum(share.macs for share in shares) == views.macs(recorded, phase)
            assert sum(share.flops for share in shares) == views.flops(recorded, phase)
    one = trace(module, (1, c, 1 + h, 1 + w))
    many = trace(module, (n, c, 1 + h, 1 + w))
    assert (views.macs(many), views.flops(many)) == (n * views.macs(one), n * views.flops(one))
    assert most_alive(many) == n * most_alive(one)
    assert min(views.timeline(recorded)) >= 0
