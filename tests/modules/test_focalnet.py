from typing import ClassVar

from modules.test_pspnet import SingleFormContract

from ctxbench_modules.focalnet import FocalModulation


class TestFocalModulation(SingleFormContract):
    cls = FocalModulation
    bad_options = ({"levels": 0}, {"window": 2}, {"average": 1}, {"norm": None})
    recordings: ClassVar = {"focal_modulation": {}}


class TestFocalModulationNormalised(SingleFormContract):
    cls = FocalModulation
    options: ClassVar = {"levels": 2, "window": 5, "average": True, "norm": True}
