from typing import ClassVar

import pytest
from modules.contract import ModuleContract

from ctxbench_modules.ema import EMA


class TestEMA(ModuleContract):
    cls = EMA
    bad_options = ({"groups": 3}, {"groups": 0})
    recordings: ClassVar = {"ema_multiscale": {"groups": 8}}


@pytest.mark.slow
class TestEMAOfFewGroups(ModuleContract):
    cls = EMA
    options: ClassVar = {"groups": 2}
