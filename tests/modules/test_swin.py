from typing import ClassVar

import torch
from modules.contract import randomise
from modules.test_pspnet import SingleFormContract

from ctxbench_modules.swin import WindowAttention


class TestWindowAttention(SingleFormContract):
    cls = WindowAttention
    bad_options = ({"window": 0}, {"heads": 0}, {"heads": 3}, {"shifted": 1})
    recordings: ClassVar = {"swin_window": {"window": 4, "heads": 4}}


class TestShifted(SingleFormContract):
    cls = WindowAttention
    options: ClassVar = {"window": 3, "heads": 2, "shifted": True}


def test_shifted_windows_hear_of_their_neighbours_in_the_map_alone() -> None:
    """Of 8×8 cut at 2 and 6, one window in nine is whole; the others are the margins, none of them joined."""
    module = WindowAttention(8, window=4, shifted=True).double()
    randomise(module)
    x = torch.randn(1, 8, 8, 8, dtype=torch.float64, requires_grad=True)
    part = [0, 0, 1, 1, 1, 1, 2, 2]
    for row, column in ((0, 0), (3, 4), (7, 1), (1, 5)):
        (gradient,) = torch.autograd.grad(module(x)[0, :, row, column].sum(), x)
        heard = (gradient.abs().sum(1)[0] > 1e-20).tolist()
        assert heard == [
            [(part[i], part[j]) == (part[row], part[column]) for j in range(8)] for i in range(8)
        ]
