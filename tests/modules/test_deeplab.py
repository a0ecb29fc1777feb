import pytest
import torch
from modules.contract import assert_same
from modules.test_pspnet import SingleFormContract
from torch import Tensor
from torch.nn import functional

from ctxbench.subject import registry
from ctxbench_modules.deeplab import ASPP, ConvBN


class TestASPP(SingleFormContract):
    cls = ASPP
    bad_options = ({"width": 0}, {"rates": ()}, {"rates": (6, 0)}, {"rates": 6})

    def build(self, *args: object, **options: object) -> torch.nn.Module:
        return super().build(*args, **{"rates": (1, 2, 3), **options})

    def test_one_value_per_channel_is_normalised_by_the_running_statistics(self) -> None:
        module, x = self.built(registry.SINGLE), self.sample(1, size=(1, 1))
        assert torch.equal(module.image.train()(x), module.image.eval()(x))

    @pytest.mark.parametrize("width", [None, 3])
    def test_the_equations(self, width: int | None) -> None:
        """Each convolution as a product with shifted copies, each normalisation written out."""
        module, x = self.build(16, (7, 5), registry.SINGLE, width=width).double().eval(), self.sample()

        def layer(block: ConvBN, y: Tensor) -> Tensor:
            conv, bn = block.conv, block.bn
            columns = functional.unfold(y, conv.kernel_size, conv.dilation, conv.padding)
            z = conv.weight.flatten(1) @ columns
            statistics = (t[:, None] for t in (bn.running_mean, bn.running_var, bn.weight, bn.bias))
            mean, variance, weight, bias = statistics
            z = (z - mean) / (variance + bn.eps).sqrt() * weight + bias
            return z.clamp_min(0).view(len(y), -1, *y.shape[2:])

        assert [block.conv.dilation[0] for block in module.local[1:]] == [1, 2, 3]
        image = layer(module.image, x.mean((2, 3), keepdim=True)).expand(-1, -1, 7, 5)
        maps = torch.cat([*(layer(block, x) for block in module.local), image], dim=1)
        assert_same(module(x).detach(), layer(module.project, maps).detach())
