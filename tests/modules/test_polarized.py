from typing import ClassVar

from modules.contract import ModuleContract

from ctxbench_modules.polarized import PolarizedSelfAttention


class TestParallel(ModuleContract):
    cls = PolarizedSelfAttention
    bad_options = ({"layout": "both"},)
    recordings: ClassVar = {"polarized_p": {}}


class TestSequential(ModuleContract):
    cls = PolarizedSelfAttention
    options: ClassVar = {"layout": "sequential"}
