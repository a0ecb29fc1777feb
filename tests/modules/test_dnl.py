from typing import ClassVar

import torch
from modules.contract import ModuleContract, assert_same_run, backward

from ctxbench.tracing import trace, views
from ctxbench_modules.dnl import DisentangledNonLocal


class TestDisentangledNonLocal(ModuleContract):
    cls = DisentangledNonLocal
    bad_options = (
        {"width": 0},
        {"temperature": 0},
        {"scale": 1},
        {"whiten": "pca"},
        {"unary": "yes"},
        {"project": 0},
    )
    recordings: ClassVar = {"dnl": {}}

    def test_several_blocks_of_positions(self) -> None:
        x = self.sample(1, 8, (17, 31))
        fast, published = (backward(self.built(form, 8, (17, 31)), x) for form in ("fast", "published"))
        assert_same_run(fast, published)

    def test_the_pairwise_term_starts_at_zero(self, implementation: str) -> None:
        module, x = self.build(16, (7, 5), implementation, unary=False).double(), self.sample()
        assert torch.equal(module(x), x)


class TestDisentangledNonLocalOfAnImageProjected(ModuleContract):
    cls = DisentangledNonLocal
    options: ClassVar = {"temperature": 1, "scale": False, "whiten": "image", "project": True}


def test_the_fast_form_stores_no_map_of_all_pairs() -> None:
    n = 64 * 64
    peaks = [
        views.peak_bytes(trace(DisentangledNonLocal(64, implementation=form), (1, 64, 64, 64)))
        for form in ("fast", "published")
    ]
    assert peaks[0] < n * n * 4 < peaks[1]
