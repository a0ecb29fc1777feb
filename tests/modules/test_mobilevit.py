from typing import ClassVar

from modules.contract import ModuleContract

from ctxbench_modules.mobilevit import SeparableSelfAttention


class TestSeparableSelfAttention(ModuleContract):
    cls = SeparableSelfAttention
    bad_options = ({"patch": 0},)
    recordings: ClassVar = {"separable_self_attention": {}}


class TestSeparableSelfAttentionOfTheWholeMap(ModuleContract):
    cls = SeparableSelfAttention
    options: ClassVar = {"patch": 1}
