from typing import ClassVar

import torch
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


def test_channels_attend_by_one_and_their_cosine() -> None:
    module = ChannelLinearAttention(6).double()
    module.gamma.data.fill_(1)
    x = torch.randn(2, 6, 3, 4, dtype=torch.float64)
    rows = x.flatten(2)
    weights = 1 + torch.nn.functional.cosine_similarity(rows[:, :, None], rows[:, None], dim=3)
    expected = rows + weights / weights.sum(2, keepdim=True) @ rows
    torch.testing.assert_close(module(x).flatten(2), expected, rtol=1e-5, atol=1e-5)
