"""MACs and parameters of the heads of other networks against closed forms, to the integer.

n positions, C3 to C5 the channels of the backbone's outputs, W the width of the head, K classes.
"""

from collections.abc import Callable
from typing import Any

import pytest
from torch import Tensor, nn

from ctxbench.networks.network import fcn_on_c4, head_class
from ctxbench.networks.registry import NETWORKS
from ctxbench.tracing import trace, views

C2, C3, C4, C5 = 256, 512, 1024, 2048
W, K = 512, 21
CODES = 32


class OnFeatures(nn.Module):
    """A head on a C5 that is given; the rest of the features are made of nothing, and cost nothing."""

    def __init__(self, model: str, size: tuple[int, int], options: dict[str, Any]) -> None:
        super().__init__()
        self.head = head_class(model)((C2, C3, C4, C5), K, size=size, **options)

    def forward(self, c5: Tensor) -> Tensor:
        sides = [c5.new_empty(len(c5), c, *c5.shape[2:]) for c in (C2, C3, C4)]
        logits: Tensor = self.head([*sides, c5])
        return logits


def counted(model: str, size: tuple[int, int], **options: Any) -> tuple[int, int]:
    """MACs of one image's head, and its parameters."""
    recorded = trace(lambda: OnFeatures(model, size, options).eval(), (1, C5, *size))
    assert not recorded.unknown_ops
    return views.macs(recorded), recorded.params


def encoding(n: int, d: int) -> int:
    """The two products of the codewords, with assignment and aggregation."""
    return 2 * n * CODES * d


def encnet(n: int) -> int:
    return n * (9 * C5 * W + W * W + K * W) + encoding(n, W) + W * W + K * W


def lateral(n: int) -> int:
    return encnet(n) + n * (C3 * W + C4 * W + 9 * 3 * W * W)


def cfnet(n: int) -> int:
    pooled = n // 4
    attention = n * W * W + 2 * pooled * W * W + 2 * n * pooled * W + n * W * W
    context = n * 4 * W * W + encoding(n, 2 * W) + 4 * W * W
    return n * 9 * C5 * W + W * W + attention + context + n * 2 * K * W


def apcnet(n: int) -> int:
    scales = sum(
        s * s * C5 * W + n * C5 * W + W * W + n * W * s * s + n * s * s * W + 2 * n * W * W
        for s in (1, 2, 3, 6)
    )
    return scales + n * 9 * (C5 + 4 * W) * W + n * K * W


def dmnet(n: int) -> int:
    filters = sum(k * k * C5 * W + n * C5 * W + n * k * k * W for k in (1, 3, 5, 7))
    return filters + n * 9 * (C5 + 4 * W) * W + n * K * W


def ann(n: int) -> int:
    keys, anchors = 256, 110
    fusion = (2 * C4 + C5) * keys + keys * C5 + 2 * keys * anchors + 2 * C5 * C5
    pyramid = 3 * W * keys + keys * W + 2 * keys * anchors + 2 * W * W
    return n * (fusion + 9 * C5 * W + pyramid + K * W)


PUBLISHED: dict[str, tuple[str, dict[str, Any], Callable[[int], int], int, int]] = {
    "encnet": ("encnet", {}, encnet, 39_906_978_304, 10_002_058),
    "encnet lateral": ("encnet", {"lateral": True}, lateral, 72_119_233_024, 17_869_450),
    "cfnet": ("cfnet", {}, cfnet, 50_286_821_376, 12_644_469),
    "apcnet": ("apcnet", {}, apcnet, 103_386_447_872, 30_466_631),
    "dmnet": ("dmnet", {}, dmnet, 94_797_561_856, 27_285_013),
    "ann": ("ann", {}, ann, 84_257_275_904, 20_341_525),
}
"""The model, its options, its MACs by n, and at 512×512 in digits, and its parameters."""


def broadcast(case: str, n: int) -> int:
    """What the published order of the encoding makes by broadcasts, which no product counts."""
    return {"encnet": encoding(n, W), "encnet lateral": encoding(n, W), "cfnet": encoding(n, 2 * W)}.get(
        case, 0
    )


def saved(case: str, n: int) -> int:
    """What the fast forms do without."""
    if case == "cfnet":  # the keys are the pooled queries
        return n // 4 * W * W
    if case == "apcnet":  # the 1×1 of the regions, not of the positions; the affinity of the image alone
        return sum(n * W * W - s * s * W * W - s * s * W for s in (1, 2, 3, 6))
    return 0


@pytest.mark.parametrize("size", [(64, 64), pytest.param((32, 48), marks=pytest.mark.slow)], ids=str)
@pytest.mark.parametrize("case", PUBLISHED)
def test_it_multiplies_as_the_closed_form_says(case: str, size: tuple[int, int]) -> None:
    model, options, macs, at_512, params = PUBLISHED[case]
    n = size[0] * size[1]
    assert macs(64 * 64) == at_512
    if "implementation" in NETWORKS[model].options:
        in_order = counted(model, size, **options, implementation="published")
        assert in_order == (macs(n) - broadcast(case, n), params)
    if model != "ann":  # below
        assert counted(model, size, **options) == (macs(n) - saved(case, n), params)


def test_anns_blocks_run_at_the_anchors() -> None:
    """The convolutions of keys and values, and those after the attention, at 110 anchors, not n positions."""
    n, keys, anchors = 64 * 64, 256, 110
    fusion = n * (C4 * keys + C5 * keys) + anchors * C4 * keys  # key and query; the value after pooling
    fusion += n * keys * anchors + anchors * (keys * C5 + C5 * C5) + n * (C5 * C5 + anchors * C5)
    pyramid = n * W * keys + anchors * W * keys  # key and query are one convolution
    pyramid += n * keys * anchors + anchors * (keys * W + W * W) + n * (W * W + anchors * W)
    macs, params = counted("ann", (64, 64))
    assert macs == fusion + n * 9 * C5 * W + pyramid + n * K * W
    assert (macs < ann(n), params) == (True, 20_341_525)


@pytest.mark.parametrize(
    ("model", "params"),
    [("encnet", 2_365_205), ("cfnet", 2_365_205), ("dmnet", 2_365_205), ("ann", 4_730_901)],
)
def test_the_auxiliary_head_has_the_parameters_of_its_closed_form(model: str, params: int) -> None:
    known = NETWORKS[model].auxiliary
    assert known is not None
    head = fcn_on_c4(known, (C2, C3, C4, C5), K)
    assert sum(parameter.numel() for parameter in head.parameters()) == params
