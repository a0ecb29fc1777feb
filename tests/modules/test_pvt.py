from typing import ClassVar

import torch
from modules.test_pspnet import SingleFormContract

from ctxbench_modules.pvt import SpatialReductionAttention


class TestSpatialReductionAttention(SingleFormContract):
    cls = SpatialReductionAttention
    bad_options = ({"heads": 0}, {"heads": 3}, {"reduction": 0}, {"linear": 1})
    recordings: ClassVar = {"sra": {"heads": 4, "reduction": 2}}


class TestLinear(SingleFormContract):
    cls = SpatialReductionAttention
    options: ClassVar = {"linear": True, "heads": 2}


def test_without_a_reduction_it_is_multi_head_attention() -> None:
    """torch's own, with the same weights."""
    module = SpatialReductionAttention(16, heads=4, reduction=1).double()
    theirs = torch.nn.MultiheadAttention(16, 4, batch_first=True).double()
    theirs.in_proj_weight.data = torch.cat([module.q.weight, module.kv.weight]).detach()
    theirs.in_proj_bias.data = torch.cat([module.q.bias, module.kv.bias]).detach()
    theirs.out_proj.load_state_dict(module.proj.state_dict())
    x = torch.randn(2, 16, 5, 3, dtype=torch.float64)
    rows = x.flatten(2).mT  # (2, 15, 16)
    torch.testing.assert_close(module(x).flatten(2).mT, theirs(rows, rows, rows)[0])
