from typing import ClassVar

import pytest
import torch
from modules.contract import randomise
from modules.test_pspnet import SingleFormContract
from torch.nn import functional

from ctxbench_modules.lambdanet import LambdaLayer


class TestLambdaLayer(SingleFormContract):
    cls = LambdaLayer
    options: ClassVar = {"scope": 5}
    bad_options = ({"key_width": 0}, {"heads": 3}, {"depth": 0}, {"scope": 4}, {"context": "all"})
    recordings: ClassVar = {"lambda_local": {"key_width": 8, "heads": 4, "depth": 2}}


@pytest.mark.slow
class TestGlobalContext(SingleFormContract):
    cls = LambdaLayer
    sized = True
    options: ClassVar = {"context": "global", "key_width": 3, "depth": 2}
    bad_options = ({"size": None}, {"size": (0, 5)})

    def test_a_map_of_another_size_is_resampled_to_that_of_the_weights(self) -> None:
        module, x = self.build(16, (4, 6), "single").eval(), self.sample(size=(9, 5)).float()
        to = {"mode": "bilinear", "align_corners": True}
        expected = functional.interpolate(module(functional.interpolate(x, (4, 6), **to)), (9, 5), **to)
        torch.testing.assert_close(module(x), expected)


def test_a_global_context_is_a_local_one_that_reaches_everywhere() -> None:
    """A table of the offsets of a 4×3 map is a kernel of 7×5, cut out of one of 7×7."""
    options = {"key_width": 3, "heads": 2, "depth": 2}
    whole = LambdaLayer(8, context="global", size=(4, 3), **options).double()
    local = LambdaLayer(8, scope=7, **options).double()
    randomise(whole)
    local.load_state_dict(whole.state_dict(), strict=False)
    local.positions.bias.data.zero_()
    local.positions.weight.data.zero_()
    local.positions.weight.data[..., 1:6] = whole.table.data.permute(2, 3, 0, 1)
    x = torch.randn(2, 8, 4, 3, dtype=torch.float64)
    torch.testing.assert_close(whole(x), local(x))
