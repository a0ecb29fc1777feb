from typing import ClassVar

from modules.contract import ModuleContract

from ctxbench_modules.parnet import ParNetBlock


class TestParNetBlock(ModuleContract):
    cls = ParNetBlock
    recordings: ClassVar = {"parnet": {}}
