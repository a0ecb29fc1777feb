from typing import ClassVar

from modules.test_pspnet import SingleFormContract

from ctxbench_modules.lsknet import LSK


class TestLSK(SingleFormContract):
    cls = LSK
    recordings: ClassVar = {"lsk": {}}
