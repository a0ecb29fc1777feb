from typing import ClassVar

from modules.test_pspnet import SingleFormContract

from ctxbench_modules.gcnet import GlobalContext


class TestGlobalContext(SingleFormContract):
    cls = GlobalContext
    bad_options = ({"reduction": 0}, {"pooling": "max"}, {"fusion": "concat"})
    recordings: ClassVar = {"gc_block": {"reduction": 4}}


class TestGlobalContextAsAGate(SingleFormContract):
    cls = GlobalContext
    options: ClassVar = {"pooling": "average", "fusion": "both", "reduction": 4}
