"""One count by independent routes: closed forms, a loop over scalars, and one module written six ways."""

from collections.abc import Callable
from itertools import product as every
from math import log2, prod

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from tokens import Tokens
from torch import Tensor, nn

from ctxbench.tracing import trace, views

WAYS = ("matmul", "bmm", "@", "einsum", "sdpa", "loop")


class Attention(nn.Module):
    """Embedded-Gaussian attention at C/2, written as ``way`` says."""

    def __init__(self, channels: int, way: str) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Conv2d(channels, channels // 2, 1) for _ in range(3))
        self.out = nn.Conv2d(channels // 2, channels, 1)
        self.way = way

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (f(x).flatten(2).transpose(1, 2).contiguous() for f in (self.query, self.key, self.value))
        y = self.attend(q, k, v).transpose(1, 2).reshape(x.shape[0], -1, *x.shape[2:])
        return x + self.out(y)

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        match self.way:
            case "matmul":
                return torch.matmul(torch.matmul(q, k.transpose(1, 2)).softmax(-1), v)
            case "bmm":
                return torch.bmm(torch.bmm(q, k.transpose(1, 2)).softmax(-1), v)
            case "@":
                return (q @ k.mT).softmax(-1) @ v
            case "einsum":
                scores = torch.einsum("nic,njc->nij", q, k).softmax(-1)
                return torch.einsum("nij,njc->nic", scores, v)
            case "sdpa":
                return F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None], scale=1.0)[:, 0]
            case "loop":
                return torch.stack([(a @ b.T).softmax(-1) @ c for a, b, c in zip(q, k, v, strict=True)])
        raise AssertionError(self.way)


@settings(max_examples=10)
@given(st.integers(1, 3), st.integers(2, 8).map(lambda c: 2 * c), st.integers(2, 9), st.integers(1, 9))
def test_one_module_written_six_ways_gives_one_count(n: int, c: int, h: int, w: int) -> None:
    closed_form = n * (2 * c * c * h * w + (h * w) ** 2 * c)
    for way in WAYS:
        recorded = trace(lambda way=way: Attention(c, way), (n, c, h, w))
        assert views.macs(recorded) == closed_form, way
        assert not recorded.unknown_ops


def test_a_broadcast_product_is_element_wise_work_and_all_of_it_is_seen() -> None:
    class Broadcast(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            q = x.flatten(2).transpose(1, 2)
            weights = (q[:, :, None] * q[:, None]).sum(-1)  # n·n·c products, n·n·c additions
            return (weights[..., None] * q[:, None]).sum(2).transpose(1, 2).reshape_as(x)

    recorded = trace(Broadcast(), (1, 6, 4, 5))
    assert views.macs(recorded) == 0
    assert views.flops(recorded) == 4 * 20 * 20 * 6


CONVOLUTIONS = [
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": 3, "stride": 2, "groups": 4},
    {"kernel_size": (1, 5), "dilation": 2, "padding": (0, 4), "bias": False},
    {"kernel_size": 3, "groups": 8, "padding": 1, "dilation": 1},
]


def scalar_convolution_macs(x: tuple[int, ...], conv: nn.Conv2d, out: tuple[int, ...]) -> int:
    """Walk every output element and every weight that reaches it."""
    per_group = conv.in_channels // conv.groups
    return sum(1 for _ in every(*map(range, out), range(per_group), *map(range, conv.kernel_size)))


@pytest.mark.parametrize("options", CONVOLUTIONS)
def test_convolutions_equal_a_loop_over_scalars(options: dict[str, object]) -> None:
    conv = nn.Conv2d(8, 8, **options)
    shape = (2, 8, 7, 6)
    recorded = trace(conv, shape)
    assert views.macs(recorded) == scalar_convolution_macs(shape, conv, recorded.output_shape)
    bias = prod(recorded.output_shape) if conv.bias is not None else 0
    assert views.flops(recorded) == 2 * views.macs(recorded) + bias


def test_transposed_convolution_counts_each_input_element_once_per_weight_it_meets() -> None:
    conv = nn.ConvTranspose2d(6, 4, 3, stride=2, groups=2)
    recorded = trace(conv, (2, 6, 5, 4))
    assert views.macs(recorded) == 2 * 6 * 5 * 4 * (4 // 2) * 9


def test_convolution_backward_counts_the_input_and_the_weight_gradient() -> None:
    recorded = trace(nn.Conv2d(4, 6, 3), (2, 4, 6, 7), mode="train")
    assert views.macs(recorded, "backward") == 2 * views.macs(recorded, "forward")


def test_attention_backward_is_five_products_when_fused_and_four_when_not() -> None:
    n, c = 12, 8
    fused, plain = (
        trace(lambda way=way: Attention(c, way), (1, c, 3, 4), mode="train") for way in ("sdpa", "bmm")
    )
    products = 2 * n * n * (c // 2)
    convolutions = 2 * 2 * c * c * n
    assert views.macs(plain, "backward") == convolutions + 2 * products
    assert views.macs(fused, "backward") == convolutions + 5 * products // 2


@pytest.mark.parametrize("mode", ["infer", "train"])
def test_multi_head_attention(mode: str) -> None:
    length, width = 30, 16
    recorded = trace(Tokens(nn.MultiheadAttention(width, 4, batch_first=True)), (2, width, 5, 6), mode=mode)
    assert views.macs(recorded) == 2 * (4 * length * width**2 + 2 * length**2 * width)
    assert not recorded.unknown_ops


def test_the_fused_encoder_layer_of_eval_mode_counts_as_its_parts_do() -> None:
    layer = nn.TransformerEncoderLayer(16, 4, 24, batch_first=True, dropout=0.0)
    fused, parts = (trace(Tokens(layer), (2, 16, 5, 6), mode=mode) for mode in ("infer", "train"))
    assert views.macs(fused) == views.macs(parts) == 2 * 30 * (4 * 256 + 2 * 30 * 16 + 2 * 16 * 24)


def test_a_multi_operand_einsum_counts_its_real_contraction() -> None:
    class Reconstruction(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.c, self.h, self.w = (nn.Parameter(torch.rand(5, size)) for size in (6, 4, 7))

        def forward(self, x: Tensor) -> Tensor:
            return x * torch.einsum("rc,rh,rw->chw", self.c, self.h, self.w)

    recorded = trace(Reconstruction(), (1, 6, 4, 7))
    pairwise = 5 * 6 * 4 + 5 * 6 * 4 * 7  # (r,c)(r,h) stays r·c·h, then contracts r with (r,w)
    work = views.macs(recorded) + views.flops(recorded) - 2 * views.macs(recorded)
    assert views.macs(recorded) in (5 * 6 * 4 * 7, pairwise)
    assert work == pairwise + 6 * 4 * 7


@pytest.mark.parametrize(
    ("transform", "operations"),
    [
        (lambda x: torch.fft.fft(x + 0j), 6 * 8 * 16 + 6 * 8 * 5 * 16 * 4),  # 5 n log2 n for each row of 16
        (lambda x: torch.fft.fft2(x + 0j), 6 * 8 * 16 + 6 * 5 * 128 * 7),
        (lambda x: torch.fft.rfft2(x, norm="ortho"), 6 * 5 * 128 * 7 // 2),
        (lambda x: torch.fft.rfft(x, dim=2), 6 * 16 * 5 * 8 * 3 // 2),
        (lambda x: torch.fft.irfft2(x + 0j, s=(8, 30)), 6 * 8 * 16 + round(6 * 2.5 * 240 * log2(240))),
        (lambda x: torch.fft.fft2(x + 0j, s=(1, 1)), 6 * 8 * 16),
    ],
    ids=["complex rows", "complex maps", "real maps", "real columns", "back to real maps", "one point"],
)
def test_a_fourier_transform_is_its_nominal_operations(
    transform: Callable[[Tensor], Tensor], operations: int
) -> None:
    class Fourier(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = transform(x)
            return torch.view_as_real(y).flatten(3) if y.is_complex() else y

    recorded = trace(Fourier(), (2, 3, 8, 16), mode="infer")
    assert (recorded.unknown_ops, views.macs(recorded)) == ({}, 0)
    assert views.flops(recorded) == operations


def test_an_operation_without_a_formula_is_listed_and_adds_nothing() -> None:
    class Exponential(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.linalg.matrix_exp(x).sum((-1, -2), keepdim=True) + x

    recorded = trace(Exponential(), (1, 3, 8, 8))
    assert recorded.unknown_ops == {"aten.linalg_matrix_exp.default": 1}


def test_composite_operations_under_inference_mode_are_their_parts() -> None:
    class Inference(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            with torch.inference_mode():
                return self.conv(x) + torch.einsum("ncij,ncjk->ncik", x, x.mT) @ x

    recorded = trace(Inference(), (1, 4, 3, 5))
    assert views.macs(recorded) == 4 * 4 * 15 + 2 * 4 * 3 * 3 * 5
    assert not recorded.unknown_ops


POOLS = [
    (nn.AdaptiveAvgPool2d((3, 2)), sum(len(range(i * 7 // 3, -(-(i + 1) * 7 // 3))) for i in range(3)) * 6),
    (nn.AvgPool2d(2), 3 * 3 * 4),
    (nn.MaxPool2d(3, 2), 3 * 2 * 9),
    (nn.AdaptiveAvgPool2d(1), 7 * 6),
]


@pytest.mark.parametrize(("pool", "per_channel"), POOLS)
def test_pooling_reads_its_regions(pool: nn.Module, per_channel: int) -> None:
    recorded = trace(pool, (2, 5, 7, 6))
    assert (views.macs(recorded), views.flops(recorded)) == (0, 2 * 5 * per_channel)


def test_batch_norm_is_scale_and_shift_in_eval_and_has_statistics_to_make_in_training() -> None:
    numel = 2 * 4 * 30
    assert views.flops(trace(nn.BatchNorm2d(4), (2, 4, 5, 6))) == 2 * numel
    training = trace(nn.BatchNorm2d(4), (2, 4, 5, 6), mode="train")
    assert views.flops(training) == 6 * numel  # num_batches_tracked is a whole number
    assert not training.unknown_ops


def test_products_in_place_count_as_those_that_are_not() -> None:
    class InPlace(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            maps = x.flatten(0, 1)
            return torch.zeros_like(maps).baddbmm_(maps, maps).reshape_as(x)

    assert views.macs(trace(InPlace(), (2, 4, 6, 6))) == 2 * 4 * 6**3


def test_scattering_adds_what_it_is_given() -> None:
    class Scatter(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            index = torch.zeros(x.shape[2] * x.shape[3], dtype=torch.long)
            return x + x.new_zeros(x.shape[0], x.shape[1], 1).index_add(2, index, x.flatten(2))[..., None]

    recorded = trace(Scatter(), (2, 3, 4, 5))
    assert views.flops(recorded) == 2 * 2 * 3 * 20
    assert not recorded.unknown_ops


@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_layers_count_both_products_of_every_step(layer: type[nn.RNNBase]) -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer(6, 6, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x.flatten(2).mT)[0].mT.reshape_as(x)

    gates = {nn.LSTM: 4, nn.GRU: 3, nn.RNN: 1}[layer]
    recorded = trace(Recurrent(), (2, 6, 4, 5))
    assert views.macs(recorded) == 2 * 20 * gates * 2 * 6 * 6
    assert not recorded.unknown_ops


ACTIVATIONS = (nn.Hardswish, nn.PReLU, nn.LogSigmoid, nn.ReLU6, nn.Hardsigmoid, nn.LeakyReLU, nn.ELU, nn.SELU)
MORE = (nn.Softplus, nn.Softshrink, nn.Hardshrink, nn.GELU, nn.SiLU, nn.Mish, nn.Tanh)


@pytest.mark.parametrize("activation", [*ACTIVATIONS, *MORE])
def test_activations_are_one_operation_for_each_element_and_known_both_ways(
    activation: type[nn.Module],
) -> None:
    recorded = trace(activation(), (2, 3, 4, 5), mode="train")
    assert views.flops(recorded) == 2 * 3 * 20
    assert not recorded.unknown_ops
