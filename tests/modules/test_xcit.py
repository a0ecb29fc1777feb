from typing import ClassVar

from modules.contract import ModuleContract

from ctxbench_modules.xcit import XCA


class TestXCA(ModuleContract):
    cls = XCA
    bad_options = ({"heads": 0}, {"heads": 3})
    recordings: ClassVar = {"xca": {"heads": 4}}
