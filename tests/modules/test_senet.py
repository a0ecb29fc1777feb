from typing import ClassVar

from modules.test_pspnet import SingleFormContract

from ctxbench_modules.senet import SE


class TestSE(SingleFormContract):
    cls = SE
    bad_options = ({"reduction": 0},)
    recordings: ClassVar = {"se": {}}
