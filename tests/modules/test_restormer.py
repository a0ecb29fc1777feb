from typing import ClassVar

from modules.test_pspnet import SingleFormContract

from ctxbench_modules.restormer import MDTA


class TestMDTA(SingleFormContract):
    cls = MDTA
    bad_options = ({"heads": 0}, {"heads": 3})
    recordings: ClassVar = {"mdta": {"heads": 4}}
