from typing import ClassVar

from modules.contract import ModuleContract

from ctxbench_modules.cfnet import ACF


class TestACF(ModuleContract):
    cls = ACF
    bad_options = ({"heads": 0}, {"heads": 3}, {"mixtures": 0}, {"dropout": -1})
    recordings: ClassVar = {"cfnet_acf": {"heads": 4}}


class TestACFMixed(ModuleContract):
    cls = ACF
    options: ClassVar = {"mixtures": 3, "heads": 2}
