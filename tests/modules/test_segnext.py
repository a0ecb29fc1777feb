from typing import ClassVar

from modules.test_pspnet import SingleFormContract

from ctxbench_modules.segnext import MSCA


class TestMSCA(SingleFormContract):
    cls = MSCA
    bad_options = ({"strips": ()}, {"strips": (7, 10)}, {"strips": 7})
    recordings: ClassVar = {"msca": {}}
