from typing import ClassVar

from modules.test_pspnet import SingleFormContract

from ctxbench_modules.halonet import HaloAttention


class TestHaloAttention(SingleFormContract):
    cls = HaloAttention
    options: ClassVar = {"block": 3, "halo": 2}
    bad_options = ({"block": 0}, {"halo": -1}, {"halo": 1.5}, {"heads": 3})
    recordings: ClassVar = {"halo_timm": {"block": 4, "halo": 1, "heads": 4}}
