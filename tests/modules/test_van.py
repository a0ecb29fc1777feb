from typing import ClassVar

from modules.test_pspnet import SingleFormContract

from ctxbench_modules.van import LKA


class TestLKA(SingleFormContract):
    cls = LKA
    bad_options = ({"kernel_size": 0}, {"dilation": 0}, {"kernel_size": 24})
    recordings: ClassVar = {"lka": {}}
