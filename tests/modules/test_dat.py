from typing import ClassVar

import pytest
from modules.contract import ModuleContract

from ctxbench_modules.dat import DeformableAttention


class TestDeformableAttention(ModuleContract):
    cls = DeformableAttention
    sized = True
    bad_options = (
        {"size": (0, 5)},
        {"heads": 3},
        {"groups": 3},
        {"kernel_size": 2},
        {"stride": 3},
        {"offset_range": -1},
        {"half_cell": 1},
    )
    recordings: ClassVar = {
        "dat": {"heads": 4, "groups": 2, "kernel_size": 5, "stride": 2, "half_cell": True}
    }


@pytest.mark.slow
class TestOffsetsWithinARange(ModuleContract):
    cls = DeformableAttention
    sized = True
    options: ClassVar = {"heads": 2, "stride": 2, "offset_range": 2.0}
