from typing import ClassVar

from modules.test_pspnet import SingleFormContract

from ctxbench_modules.involution import Involution


class TestInvolution(SingleFormContract):
    cls = Involution
    bad_options = ({"kernel_size": 4}, {"reduction": 0}, {"group_channels": 3})
    recordings: ClassVar = {"involution": {}}
