from typing import ClassVar

from modules.contract import ModuleContract

from ctxbench_modules.glore import GloRe


class TestGloRe(ModuleContract):
    cls = GloRe
    bad_options = ({"nodes": 0}, {"normalize": 1})
    recordings: ClassVar = {"glore": {"nodes": 8}}


class TestGloReOfFewNodesUnnormalized(ModuleContract):
    """So few nodes that both weights meet them in place of the positions."""

    cls = GloRe
    options: ClassVar = {"nodes": 2, "normalize": False}
