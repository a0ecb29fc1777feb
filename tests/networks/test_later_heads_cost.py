"""What the heads of GCNet and later networks cost: closed forms, to the integer.

At 512×512 and 21 classes the numbers are those of the released modules, counted by PyTorch's FLOP counter.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import pytest
from torch import Tensor, nn

from ctxbench.networks.network import head_class
from ctxbench.networks.published import in_published_form
from ctxbench.tracing import trace, views
from ctxbench.tracing.ops import Trace

CHANNELS = C2, C3, C4, C5 = (256, 512, 1024, 2048)
W = 512
P = W // 2
"""Channels of queries and keys."""


@dataclass(frozen=True)
class At:
    """Features of h × w, K classes."""

    h: int
    w: int
    k: int

    @property
    def n(self) -> int:
        return self.h * self.w


def framed(at: At) -> int:
    return at.n * (9 * C5 * W + 9 * W * W + 9 * (C5 + W) * W + at.k * W)


def framed_params(k: int) -> int:
    return 9 * C5 * W + 9 * W * W + 9 * (C5 + W) * W + 3 * 2 * W + W * k + k


def isa(at: At) -> int:
    long = (at.h // 8) * (at.w // 8)
    groups = sum(at.n * (2 * W * P + 2 * P * P + 2 * W * W) + at.n * g * (P + W) for g in (long, 64))
    return at.n * 9 * C5 * W + groups + 2 * at.n * W * W + at.n * at.k * W


def ocr(at: At) -> int:
    pixels = at.n * (9 * C5 * W + W * P + P * P + P * W + 2 * W * W + at.k * W)
    objects = at.k * at.n * W + at.k * (2 * W * P + P * P) + 2 * at.n * at.k * P
    return pixels + objects + at.n * (9 * C4 * W + W * at.k)


def ocr_params(k: int) -> int:
    biases = W + 5 * P + W + W + k
    norms = 2 * (W + 5 * P + W + W)
    regions = 9 * C4 * W + W + 2 * W + W * k + k
    return 9 * C5 * W + 3 * W * P + 2 * P * P + P * W + 2 * W * W + W * k + biases + norms + regions


def strips(at: At) -> int:
    m, i = C5 // 2, C5 // 8
    mpm = at.n * (2 * m * i + 27 * i * i + 2 * i * m) + 9 * i * i * (400 + 144) + 3 * i * i * (at.h + at.w)
    return at.n * C5 * m + 2 * mpm + at.n * (9 * m * W + at.k * W)


def strips_params(k: int) -> int:
    m, i = C5 // 2, C5 // 8
    mpm = 2 * m * i + 51 * i * i + 2 * i * m + 9 * 2 * i + 2 * m
    return C5 * m + 2 * m + 2 * mpm + 9 * m * W + 2 * W + k * W + k


def nmf(n: int, steps: int) -> int:
    r = 64
    return n * W * r * (3 + 2 * steps) + (steps + 1) * (r * r * W + n * r * r) + steps * (n + W) * r * r


def ham(at: At, breads: int) -> int:
    return at.n * (9 * C5 * W + breads * W * W + 9 * W * 256 + 256 * at.k) + nmf(at.n, 6)


def ham_params(k: int, breads: int) -> int:
    return 9 * C5 * W + breads * W * W + W + 2 * W + 2 * W + 9 * W * 256 + 2 * 256 + 256 * k + k


@dataclass(frozen=True)
class Form:
    model: str
    options: dict[str, Any]
    macs: Callable[[At], int]
    params: Callable[[int], int]
    published: tuple[int, int]
    """MACs and parameters at 512×512 and 21 classes."""


FORMS = (
    Form(
        "gcnet",
        {},
        lambda at: framed(at) + at.n * 2 * W + 2 * W * W // 4,
        lambda k: framed_params(k) + W + 1 + 2 * W * W // 4 + W // 4 + W + 2 * W // 4,
        (96685129728, 23739286),
    ),
    Form(
        "dnlnet",
        {},
        lambda at: framed(at) + at.n * (2 * W * P + W * W + W) + at.n**2 * (P + W) + at.n * W,
        lambda k: framed_params(k) + 2 * (W * P + P) + W * W + W + 1 + 1,
        (111717384192, 24132119),
    ),
    Form(
        "dnlnet",
        {"temperature": 0.05, "scale": True, "project": True, "norm": True, "gate": False},
        lambda at: framed(at) + at.n * (4 * W * P + W) + 2 * at.n**2 * P + at.n * P,
        lambda k: framed_params(k) + 3 * (W * P + P) + P * W + 2 * W + W + 1,
        (107421368320, 24133398),
    ),
    Form(
        "isanet",
        {},
        isa,
        lambda k: (
            9 * C5 * W + 2 * W + 2 * (2 * (W * P + P * P) + 2 * W * W + 8 * P + 2 * W)
            + 2 * W * W + 2 * W + W * k + k
        ),
        (48765075456, 11815445),
    ),
    Form("ocrnet", {}, ocr, ocr_params, (61654761472, 15366954)),
    Form("spnet", {}, strips, strips_params, (51738836992, 15624725)),
    Form(
        "hamnet",
        {"cheese": False},
        lambda at: ham(at, 2),
        lambda k: ham_params(k, 2),
        (47914680320, 11149589),
    ),
    Form("hamnet", {}, lambda at: ham(at, 3), lambda k: ham_params(k, 3), (48988422144, 11411733)),
    Form(
        "lighthamnet",
        {},
        lambda at: at.n * ((C3 + C4 + C5) * W + 3 * W * W + at.k * W) + nmf(at.n, 7),
        lambda k: (C3 + C4 + C5) * W + 3 * W * W + W + 3 * 2 * W + W * k + k,
        (13346275328, 2635797),
    ),
)  # fmt: skip
IDS = [" ".join([form.model, *form.options]) for form in FORMS]


class OnFeatures(nn.Module):
    """A head in eval mode on C3, C4 and C5 that are cut from one map; C2 is no head's here."""

    def __init__(self, form: Form, at: At) -> None:
        super().__init__()
        self.head = head_class(form.model)(CHANNELS, at.k, size=(at.h, at.w), **form.options)

    def forward(self, x: Tensor) -> Tensor:
        features = [x[:, :channels] for channels in CHANNELS]
        logits: Tensor = self.head(features)
        return logits


def recorded(form: Form, at: At, *, published: bool) -> Trace:
    def build() -> nn.Module:
        with in_published_form() if published else nullcontext():
            return OnFeatures(form, at)

    traced = trace(build, (1, C5, at.h, at.w))
    assert not traced.unknown_ops
    return traced


@pytest.mark.parametrize("form", FORMS, ids=IDS)
def test_the_closed_form_is_what_the_released_modules_cost(form: Form) -> None:
    assert (form.macs(At(64, 64, 21)), form.params(21)) == form.published


@pytest.mark.parametrize(
    "at",
    [At(40, 24, 7), pytest.param(At(64, 64, 21), marks=pytest.mark.slow)],
    ids=["320×192", "512×512"],
)
@pytest.mark.parametrize("form", FORMS, ids=IDS)
def test_the_published_form_costs_the_closed_form(form: Form, at: At) -> None:
    traced = recorded(form, at, published=True)
    assert (views.macs(traced), traced.params) == (form.macs(at), form.params(at.k))


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS, ids=IDS)
def test_the_fast_form_costs_no_more(form: Form) -> None:
    at = At(64, 64, 21)
    traced = recorded(form, at, published=False)
    assert views.macs(traced) <= form.macs(at)
    assert traced.params == form.params(at.k)
