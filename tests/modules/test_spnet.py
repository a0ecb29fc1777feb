from typing import ClassVar

from modules.test_pspnet import SingleFormContract

from ctxbench_modules.spnet import MPM


class TestMPM(SingleFormContract):
    cls = MPM
    bad_options = ({"pools": (20,)}, {"pools": (20, 0)}, {"pools": 20})
    recordings: ClassVar = {"strip_pooling": {"pools": (5, 3)}}
