from typing import ClassVar

import pytest
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
        {"norm": 1},
        {"gate": None},
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


@pytest.mark.slow
class TestDisentangledNonLocalNormalisedWithoutGate(ModuleContract):
    cls = DisentangledNonLocal
    options: ClassVar = {"project": True, "norm": True, "gate": False}


def test_the_norm_at_the_end_is_the_authors_out_bn() -> None:
    module = DisentangledNonLocal(8, project=True, norm=True)
    released = {"norm": "out_bn", "gamma": "gamma"}
    state = {}
    for key, value in module.state_dict().items():
        layer, dot, name = key.partition(".")
        state[released.get(layer, f"conv_{layer}") + dot + name] = value + 1
    module.load_released(state)
    assert torch.equal(module.norm.running_var, torch.full((8,), 2.0))


def test_the_fast_form_stores_no_map_of_all_pairs() -> None:
    n = 64 * 64
    peaks = [
        views.peak_bytes(trace(DisentangledNonLocal(64, implementation=form), (1, 64, 64, 64)))
        for form in ("fast", "published")
    ]
    assert peaks[0] < n * n * 4 < peaks[1]
