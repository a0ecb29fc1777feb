from typing import ClassVar

import torch
from modules.contract import ModuleContract

from ctxbench_modules.apcnet import ACM, ACMPyramid


class TestACM(ModuleContract):
    cls = ACM
    options: ClassVar = {"pool_scale": 2}
    bad_options = ({"width": 0}, {"pool_scale": 0})
    recordings: ClassVar = {f"acm_s{scale}": {"width": 16, "pool_scale": scale} for scale in (1, 2, 3, 6)}


class TestACMPyramid(ModuleContract):
    cls = ACMPyramid
    bad_options = ({"width": 0}, {"pool_scales": ()}, {"pool_scales": (1, 0)}, {"pool_scales": 6})
    recordings: ClassVar = {"apc_pyramid": {"width": 8}}


class TestACMPyramidConcatenated(ModuleContract):
    cls = ACMPyramid
    options: ClassVar = {"width": 5, "pool_scales": (1, 4), "fusion": False, "bottleneck": False}

    def test_input_comes_first(self, implementation):
        module, x = self.built(implementation).eval(), self.sample()
        assert module.out_channels == 16 + 2 * 5
        assert torch.equal(module(x)[:, :16], x)
