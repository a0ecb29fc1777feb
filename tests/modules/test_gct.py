from typing import ClassVar

from modules.test_pspnet import SingleFormContract

from ctxbench_modules.gct import GCT


class TestGCT(SingleFormContract):
    cls = GCT
    bad_options = ({"norm": "l3"},)
    recordings: ClassVar = {"gct": {}}


class TestGCTL1(SingleFormContract):
    cls = GCT
    options: ClassVar = {"norm": "l1"}
