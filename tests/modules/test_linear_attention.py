from typing import ClassVar

from modules.contract import ModuleContract
from modules.test_pspnet import SingleFormContract

from ctxbench_modules.linear_attention import ChannelLinearAttention, LinearAttention


class TestLinearAttention(ModuleContract):
    cls = LinearAttention
    recordings: ClassVar = {"linear_pam": {}}


class TestChannelLinearAttention(SingleFormContract):
    cls = ChannelLinearAttention
    bad_options = ({"as_released": 1},)
    recordings: ClassVar = {"linear_cam": {"as_released": True}}
