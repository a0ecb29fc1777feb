from typing import ClassVar

from modules.test_pspnet import SingleFormContract

from ctxbench_modules.triplet import TripletAttention


class TestTripletAttention(SingleFormContract):
    cls = TripletAttention
    bad_options = ({"kernel_size": 6}, {"kernel_size": 0})
    recordings: ClassVar = {"triplet_attention": {}}
