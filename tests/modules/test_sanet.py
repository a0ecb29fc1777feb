from typing import ClassVar

from modules.test_pspnet import SingleFormContract

from ctxbench_modules.sanet import ShuffleAttention


class TestShuffleAttention(SingleFormContract):
    cls = ShuffleAttention
    bad_options = ({"groups": 0}, {"groups": 3}, {"groups": 16})
    recordings: ClassVar = {"shuffle_attention": {"groups": 4}}
