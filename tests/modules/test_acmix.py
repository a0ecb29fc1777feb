from typing import ClassVar

import numpy as np
import pytest
import torch
from modules.contract import ModuleContract

from ctxbench_modules.acmix import ACmix, _mirrored


class TestACmix(ModuleContract):
    cls = ACmix
    options: ClassVar = {"kernel_size": 3}
    bad_options = ({"heads": 3}, {"heads": 0}, {"kernel_size": 4}, {"kernel_size": 0})
    recordings: ClassVar = {"acmix": {"kernel_size": 7}}


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (2, 3), (3, 9), (9, 8)], ids=str)
def test_a_map_is_mirrored_again_and_again(size: tuple[int, int]) -> None:
    x = torch.arange(2.0 * size[0] * size[1]).view(1, 2, *size)
    expected = np.pad(x.numpy(), ((0, 0), (0, 0), (3, 3), (3, 3)), mode="reflect")
    assert _mirrored(x, 3).tolist() == expected.tolist()
