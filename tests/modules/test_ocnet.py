from typing import ClassVar

from modules.contract import ModuleContract

from ctxbench_modules.ocnet import ObjectContext


class TestObjectContext(ModuleContract):
    cls = ObjectContext
    bad_options = ({"key_channels": 0}, {"value_channels": 2.5}, {"dropout": "half"})
    recordings: ClassVar = {"ocnet_base": {"key_channels": 8, "value_channels": 12}}
