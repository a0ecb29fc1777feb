from typing import ClassVar

from modules.test_pspnet import SingleFormContract

from ctxbench_modules.sknet import SelectiveKernel


class TestSelectiveKernel(SingleFormContract):
    cls = SelectiveKernel
    bad_options = ({"branches": 1}, {"groups": 3}, {"groups": 0}, {"reduction": 0}, {"least_width": 0})
    recordings: ClassVar = {"sk": {"groups": 8}}
