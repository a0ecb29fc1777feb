"""What is recorded is what eager execution runs, where torch runs something else under a dispatch mode."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ctxbench.tracing import trace, views

SHAPE = (1, 8, 6, 4)
MAP = 8 * 6 * 4 * 4


class Nhwc(nn.Module):
    """A linear layer on a map with its channels last."""

    def __init__(self, dim: int, out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, out)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # (N, C', H, W)


@settings(max_examples=20)
@given(st.integers(1, 3), st.integers(1, 9), st.integers(2, 9), st.integers(2, 9), st.integers(1, 9))
def test_linear_adds_its_bias_in_place_as_eager_does(n: int, c: int, h: int, w: int, out: int) -> None:
    recorded = trace(Nhwc(c, out), (n, c, h, w))
    copied = 4 * n * c * h * w if n * c > 1 else 0  # the product of a permuted map needs it in rows
    product = 4 * n * out * h * w
    assert views.peak_bytes(recorded) in (product, product + copied)
    assert views.flops(recorded) == 2 * views.macs(recorded) + product // 4


def test_the_peak_of_a_linear_layer_on_a_permuted_map_is_its_product() -> None:
    assert views.peak_bytes(trace(Nhwc(64, 64), (1, 64, 32, 32))) == 4 * 64 * 32 * 32


def test_a_bias_added_by_the_module_itself_is_out_of_place() -> None:
    class Own(Nhwc):
        def forward(self, x: Tensor) -> Tensor:
            y = x.permute(0, 2, 3, 1) @ self.linear.weight.T + self.linear.bias
            return y.permute(0, 3, 1, 2)

    assert views.peak_bytes(trace(Own(64, 64), (1, 64, 32, 32))) == 2 * 4 * 64 * 32 * 32


@pytest.mark.parametrize("mode", ["infer", "train"])
def test_linear_is_torchs_own_again_afterwards(mode: str) -> None:
    module, x = Nhwc(8, 4), torch.randn(SHAPE)
    before = module(x)
    trace(module, SHAPE, mode=mode)
    assert torch.equal(module(x), before)
    assert not torch._C._dispatch_has_kernel_for_dispatch_key("aten::linear", "AutogradCPU")


@pytest.mark.parametrize("how", [{"size": (9, 7)}, {"scale_factor": 2.0}, {"scale_factor": (1.5, 3.0)}])
@pytest.mark.parametrize("name", ["nearest", "nearest-exact"])
@pytest.mark.parametrize("mode", ["infer", "train"])
def test_interpolation_by_nearest_neighbour_is_one_operation_that_moves(
    how: dict[str, object], name: str, mode: str
) -> None:
    class Nearest(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.interpolate(x, mode=name, **how)

    recorded = trace(Nearest(), SHAPE, mode=mode)
    forward = [op for op in recorded.ops if op.phase == "forward" and op.name != "aten.ones_like.default"]
    assert [op.kind for op in forward] == ["move"]
    assert views.flops(recorded) == 0
    sums = views.flops(recorded, "backward")
    assert sums == (torch.Size(recorded.output_shape).numel() if mode == "train" else 0)
    assert not recorded.lower_bound
