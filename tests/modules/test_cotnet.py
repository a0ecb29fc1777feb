from typing import ClassVar

from modules.test_pspnet import SingleFormContract

from ctxbench_modules.cotnet import CoT


class TestCoT(SingleFormContract):
    cls = CoT
    bad_options = ({"kernel_size": 4}, {"kernel_size": 0})
    recordings: ClassVar = {"cot": {}}
