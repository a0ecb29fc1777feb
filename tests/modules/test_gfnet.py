from typing import ClassVar

import torch
from modules.contract import randomise
from modules.test_pspnet import SingleFormContract

from ctxbench_modules.gfnet import GlobalFilter


class TestGlobalFilter(SingleFormContract):
    cls = GlobalFilter
    sized = True
    bad_options = ({"size": (0, 5)}, {"size": (3,)})
    recordings: ClassVar = {"global_filter": {}}

    def test_a_map_of_another_size_is_resampled_to_that_of_the_weights(self) -> None:
        module = GlobalFilter(16, size=(4, 6)).eval()
        assert module(self.sample(size=(9, 5)).float()).shape == (2, 16, 9, 5)


def test_it_is_a_circular_convolution() -> None:
    """A map rolled along both axes comes out rolled alike."""
    module = GlobalFilter(3, size=(6, 5)).double()
    randomise(module)
    x = torch.randn(1, 3, 6, 5, dtype=torch.float64)
    torch.testing.assert_close(module(x.roll((2, 3), (2, 3))), module(x).roll((2, 3), (2, 3)))
