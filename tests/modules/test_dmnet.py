from typing import ClassVar

import pytest
import torch
from modules.test_pspnet import SingleFormContract
from torch.nn import functional

from ctxbench_modules.dmnet import DCM


class TestDCM(SingleFormContract):
    cls = DCM
    bad_options = ({"filter_size": 0}, {"width": 0}, {"fusion": 1})
    recordings: ClassVar = {"dcm_k3": {"width": 16}}


class TestDCMOfEvenSideFused(SingleFormContract):
    cls = DCM
    options: ClassVar = {"filter_size": 4, "fusion": True, "width": 6}


@pytest.mark.parametrize("side", [1, 2, 3, 4, 5, 7])
def test_each_image_is_filtered_by_its_own(side: int) -> None:
    """Against the sum over shifts of the map, written out."""
    module, x = DCM(4, filter_size=side).double().eval(), torch.randn(2, 4, 9, 8, dtype=torch.float64)
    filters = module.filter(functional.adaptive_avg_pool2d(x, side))
    padded = functional.pad(module.reduce(x), 4 * [side])
    start = side - side // 2
    expected = sum(
        filters[:, :, i : i + 1, j : j + 1]
        * padded[:, :, start + i : start + i + 9, start + j : start + j + 8]
        for i in range(side)
        for j in range(side)
    )
    torch.testing.assert_close(module(x), functional.relu(module.norm(expected)))
