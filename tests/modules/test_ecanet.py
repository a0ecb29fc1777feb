from typing import ClassVar

from modules.test_pspnet import SingleFormContract

from ctxbench_modules.ecanet import ECA


class TestECA(SingleFormContract):
    cls = ECA
    bad_options = ({"kernel_size": 4}, {"kernel_size": 0})
    recordings: ClassVar = {"eca": {}}


def test_the_kernel_of_the_paper():
    kernels = {channels: ECA(channels).conv.kernel_size[0] for channels in (1, 16, 64, 128, 512, 2048)}
    assert kernels == {1: 1, 16: 3, 64: 3, 128: 5, 512: 5, 2048: 7}
