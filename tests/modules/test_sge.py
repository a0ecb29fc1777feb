from typing import ClassVar

from modules.test_pspnet import SingleFormContract

from ctxbench_modules.sge import SGE


class TestSGE(SingleFormContract):
    cls = SGE
    bad_options = ({"groups": 0}, {"groups": 3})
    recordings: ClassVar = {"sge": {"groups": 8}}
