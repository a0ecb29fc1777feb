from typing import ClassVar

from modules.test_pspnet import SingleFormContract

from ctxbench_modules.cbam import CBAM


class TestCBAM(SingleFormContract):
    cls = CBAM
    bad_options = ({"reduction": 0}, {"kernel_size": 0}, {"kernel_size": 4})
    recordings: ClassVar = {"cbam": {}}
