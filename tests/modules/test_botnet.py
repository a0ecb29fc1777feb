from typing import ClassVar

import torch
from modules.contract import ModuleContract

from ctxbench_modules.botnet import BottleneckAttention


class TestBottleneckAttention(ModuleContract):
    cls = BottleneckAttention
    sized = True
    bad_options = ({"heads": 0}, {"width": 0}, {"positions": "none"}, {"size": (0, 5)})
    recordings: ClassVar = {"botnet_mhsa": {}}

    def test_a_map_of_another_size_is_resampled_to_that_of_the_weights(self) -> None:
        module = BottleneckAttention(16, size=(4, 6)).eval()
        assert module(self.sample(size=(9, 5)).float()).shape == (2, 16, 9, 5)


class TestAbsolutePositions(ModuleContract):
    cls = BottleneckAttention
    sized = True
    options: ClassVar = {"positions": "absolute", "heads": 2, "width": 3}


def test_absolute_positions_are_added_to_the_keys() -> None:
    """Without content, a position attends where its query points: one column each."""
    module = BottleneckAttention(2, size=(2, 3), heads=1, positions="absolute").double()
    module.qkv.weight.data.zero_()
    module.qkv.weight.data[:2, :, 0, 0] = 100 * torch.eye(2)  # q = 100 x
    module.qkv.weight.data[4:, :, 0, 0] = torch.eye(2)  # v = x
    module.height.data.zero_()
    module.width.data = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]).double()
    x = torch.tensor([[[[1.0, 0.0, 5.0], [1.0, 0.0, 7.0]], [[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]]]).double()
    y = module(x)
    torch.testing.assert_close(y[0, :, :, 0], torch.tensor([[1.0, 1.0], [0.0, 0.0]]).double())
    torch.testing.assert_close(y[0, :, :, 1], torch.tensor([[0.0, 0.0], [1.0, 1.0]]).double())
