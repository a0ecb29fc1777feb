from typing import ClassVar

import torch
from modules.contract import ModuleContract

from ctxbench_modules.eanet import ExternalAttention


class TestExternalAttention(ModuleContract):
    cls = ExternalAttention
    bad_options = ({"units": 0},)
    recordings: ClassVar = {"external_attention": {}}

    def test_the_memories_start_equal_and_are_two(self):
        module = ExternalAttention(16)
        assert torch.equal(module.keys.weight, module.values.weight.transpose(0, 1))
        assert module.keys.weight.data_ptr() != module.values.weight.data_ptr()


class TestFewUnits(ModuleContract):
    """So few units that the convolutions meet them in place of the positions."""

    cls = ExternalAttention
    options: ClassVar = {"units": 2}
