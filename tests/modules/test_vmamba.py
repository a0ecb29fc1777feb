from typing import ClassVar

import pytest
from modules.test_pspnet import SingleFormContract

from ctxbench_modules.vmamba import SS2D


class TestSS2D(SingleFormContract):
    cls = SS2D
    bad_options = ({"ratio": 0.01}, {"states": 0}, {"gate": 1})
    recordings: ClassVar = {"ss2d": {"states": 4}}


@pytest.mark.slow
class TestOfTheFirstVersion(SingleFormContract):
    cls = SS2D
    options: ClassVar = {"states": 3, "gate": True, "ratio": 1.5}
