from typing import ClassVar

from modules.contract import ModuleContract

from ctxbench_modules.linear_attention import LinearAttention


class TestLinearAttention(ModuleContract):
    cls = LinearAttention
    recordings: ClassVar = {"linear_pam": {}}
