from typing import ClassVar

import pytest
import torch
from modules.contract import ModuleContract

from ctxbench_modules.dat import DeformableAttention


class TestDeformableAttention(ModuleContract):
    cls = DeformableAttention
    sized = True
    bad_options = (
        {"size": (0, 5)},
        {"heads": 3},
        {"groups": 3},
        {"kernel_size": 2},
        {"stride": 3},
        {"offset_range": -1},
        {"half_cell": 1},
    )
    recordings: ClassVar = {
        "dat": {"heads": 4, "groups": 2, "kernel_size": 5, "stride": 2, "half_cell": True}
    }


@pytest.mark.slow
class TestOffsetsWithinARange(ModuleContract):
    cls = DeformableAttention
    sized = True
    options: ClassVar = {"heads": 2, "stride": 2, "offset_range": 2.0}


@pytest.mark.parametrize(("offset_range", "reach"), [(None, 99), (2.0, 1)])
def test_offsets_end_at_the_border_or_at_their_range(offset_range: float | None, reach: int) -> None:
    """Of 5×7 positions, with offsets far down and to the left: the row comes first of the two."""
    module = DeformableAttention(8, size=(5, 7), groups=1, offset_range=offset_range)
    module.offset_norm.weight.data.zero_()
    module.offset_norm.bias.data.fill_(1)
    module.offset.weight.data.copy_(torch.tensor([1e4, -1e4]).view(2, 1, 1, 1).expand(2, 8, 1, 1))
    columns, rows = torch.linspace(-1, 1, 7) - reach * 2 / 6, torch.linspace(-1, 1, 5) + reach * 2 / 4
    expected = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=2).flatten(0, 1)
    if offset_range is None:
        expected = expected.clamp(-1, 1)
    torch.testing.assert_close(module._positions(torch.randn(1, 8, 5, 7))[0], expected)
