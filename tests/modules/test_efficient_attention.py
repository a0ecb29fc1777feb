from typing import ClassVar

from modules.contract import ModuleContract

from ctxbench_modules.efficient_attention import EfficientAttention


class TestEfficientAttention(ModuleContract):
    cls = EfficientAttention
    bad_options = (
        {"key_width": 0},
        {"value_width": 5, "heads": 2},
        {"key_width": 3, "heads": 2},
        {"heads": 0},
    )
    recordings: ClassVar = {"efficient_attention": {"key_width": 16, "value_width": 24, "heads": 4}}


class TestTwoHeadsAndFewerKeysThanValues(ModuleContract):
    """What is folded at these small sizes: at the defaults it would be more multiplications."""

    cls = EfficientAttention
    options: ClassVar = {"key_width": 4, "value_width": 12, "heads": 2}
