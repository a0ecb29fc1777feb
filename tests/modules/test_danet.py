from collections.abc import Callable
from typing import ClassVar, Literal

import pytest
import torch
from modules.contract import ModuleContract, assert_same_run, backward
from torch import nn

from ctxbench.tracing import Trace, trace, views
from ctxbench_modules.danet import CAM, PAM


class TestPAM(ModuleContract):
    cls = PAM
    recordings: ClassVar = {"danet_pam": {}}

    def test_starts_as_the_identity(self, implementation: str) -> None:
        module, x = self.build(16, (7, 5), implementation).double(), self.sample()
        assert torch.equal(module(x), x)

    def test_several_blocks_of_positions(self) -> None:
        x = self.sample(1, 8, (17, 31))
        fast, published = (backward(self.built(form, 8, (17, 31)), x) for form in ("fast", "published"))
        assert_same_run(fast, published)


class TestCAM(ModuleContract):
    cls = CAM
    recordings: ClassVar = {"danet_cam": {}}

    def test_starts_as_the_identity(self, implementation: str) -> None:
        module, x = self.build(16, (7, 5), implementation).double(), self.sample()
        assert torch.equal(module(x), x)

    def test_differentiates_twice(self, implementation: str) -> None:
        module, x = self.built(implementation, 3, (2, 3)), self.sample(2, 3, (2, 3)).requires_grad_()
        assert torch.autograd.gradgradcheck(module, x)

    @pytest.mark.parametrize(("form", "products"), [("fast", 3), ("published", 4)])
    def test_products_of_the_backward_pass(self, form: str, products: int) -> None:
        n, c, h, w = 2, 16, 7, 5
        traced = trace(self.build(c, (h, w), form), (n, c, h, w), mode="train")
        assert views.macs(traced, "backward") == products * n * c * c * h * w


@pytest.mark.parametrize(
    ("block", "mode", "needed"),
    [
        (PAM, "infer", views.peak_bytes),
        (PAM, "train", views.peak_bytes),
        (CAM, "infer", views.peak_bytes),
        (CAM, "train", views.saved_bytes),
    ],
)
def test_the_fast_form_needs_less_memory(
    block: type[nn.Module], mode: Literal["infer", "train"], needed: Callable[[Trace], int]
) -> None:
    fast, published = (
        needed(trace(block(64, implementation=form), (1, 64, 48, 48), mode=mode))
        for form in ("fast", "published")
    )
    assert fast < published


def test_position_attention_without_gradient_stores_no_map_of_all_pairs() -> None:
    positions = 64 * 64
    assert views.peak_bytes(trace(PAM(64), (1, 64, 64, 64))) < positions**2 * 4
