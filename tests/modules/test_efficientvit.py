from typing import ClassVar

import pytest
from modules.test_pspnet import SingleFormContract

from ctxbench_modules.efficientvit import LiteMLA


class TestLiteMLA(SingleFormContract):
    cls = LiteMLA
    bad_options = ({"head_width": 3}, {"head_width": 0}, {"scales": (4,)}, {"scales": 5})
    recordings: ClassVar = {"lite_mla": {"head_width": 8}}


@pytest.mark.slow
class TestLiteMLAOfManyScales(SingleFormContract):
    cls = LiteMLA
    options: ClassVar = {"head_width": 2, "scales": (3, 5)}
