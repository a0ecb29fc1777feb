from typing import ClassVar

from modules.test_pspnet import SingleFormContract

from ctxbench_modules.coordatt import CoordinateAttention


class TestCoordinateAttention(SingleFormContract):
    cls = CoordinateAttention
    bad_options = ({"reduction": 0},)
    recordings: ClassVar = {"coordatt": {}}
