from typing import ClassVar

import pytest
import torch
from modules.contract import IMPLEMENTATIONS, ModuleContract

from ctxbench_modules.non_local import NonLocal


class TestNonLocal(ModuleContract):
    cls = NonLocal
    bad_options = ({"width": 0}, {"width": 2.5}, {"norm": "no"}, {"use_scale": 1})
    recordings: ClassVar = {
        "nonlocal_alexhex": {},
        "nonlocal_mmcv": {"norm": False, "use_scale": True},
    }

    @pytest.mark.parametrize("norm", [True, False])
    def test_starts_as_the_identity(self, norm, implementation):
        module, x = self.build(16, (7, 5), implementation, norm=norm).double(), self.sample()
        assert torch.equal(module(x), x)


class TestNonLocalScaledWithoutNorm(ModuleContract):
    cls = NonLocal
    options: ClassVar = {"width": 6, "norm": False, "use_scale": True}


def test_published_stores_the_map():
    shapes = []
    for implementation in IMPLEMENTATIONS:
        module = NonLocal(8, implementation=implementation)
        for leaf in module.modules():
            leaf.register_forward_hook(
                lambda leaf, _, y: shapes.append((type(leaf).__name__, tuple(y.shape)))
            )
        module(torch.zeros(1, 8, 3, 5))
    assert [shape for name, shape in shapes if name == "MatMul"] == [(1, 15, 15), (1, 15, 4)]
