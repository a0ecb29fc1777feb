from typing import ClassVar

import pytest
import torch
from modules.test_pspnet import SingleFormContract

from ctxbench.tracing import trace, views
from ctxbench_modules.psanet import PSA


class TestPSA(SingleFormContract):
    cls = PSA
    sized = True
    bad_options = ({"size": (0, 5)}, {"size": (7,)}, {"width": 0}, {"shrink": 0})
    recordings: ClassVar = {"psa": {}}

    def build(self, *args: object, **options: object) -> torch.nn.Module:
        return super().build(*args, **{"width": 16, **options})

    @pytest.mark.parametrize("size", [(9, 5), (4, 12), (7, 6)], ids=str)
    def test_an_input_of_another_size_meets_the_grid_of_the_weights(self, size: tuple[int, int]) -> None:
        module = self.built("single").eval()
        assert module(self.sample(size=size)).shape == (2, 32, *size)
        flat = self.sample(n=1, size=(1, 1)).expand(1, 16, *size)
        torch.testing.assert_close(
            module(flat)[..., :1, :1], module(flat[..., :1, :1].expand(1, 16, 7, 5))[..., :1, :1]
        )


def test_multiplications() -> None:
    """Reduction on the input; the map, the products and the projection on a grid a quarter of its size."""
    channels, width, side = 64, 16, 32
    n, m, offsets = side**2, (side // 2) ** 2, (side - 1) ** 2
    branch = channels * width * n + width * width * m + width * offsets * m + width * m * m
    macs = views.macs(trace(PSA(channels, size=(side, side)), (1, channels, side, side)))
    assert macs == 2 * branch + 2 * width * channels * m
