from typing import ClassVar

import pytest
import torch
from modules.contract import ModuleContract, assert_same, load_recording, released_state

from ctxbench.tracing import trace, views
from ctxbench_modules.emanet import EMAU


class TestEMAU(ModuleContract):
    cls = EMAU
    differentiable = False
    bad_options = ({"bases": 0}, {"iterations": 0}, {"momentum": 1.5}, {"momentum": "slow"})
    recordings: ClassVar = {"emau": {"bases": 8}}

    def build(self, *args, **options):
        torch.manual_seed(0)  # the bases start at random
        return super().build(*args, **options)

    def test_bases_as_released(self, implementation):
        data = load_recording("emau")
        module = EMAU(32, bases=8, implementation=implementation).double().eval()
        module.load_released(released_state(data))
        y, mu = module.forward_with_bases(data["x"])
        assert_same(y, data["y"])
        assert_same(mu, data["y1"])
        assert_same(module.mu, data["w:mu"])

    @pytest.mark.parametrize("momentum", [0.0, 0.7, 1.0])
    def test_training_moves_the_bases(self, momentum, implementation):
        module = self.build(16, (7, 5), implementation, momentum=momentum).double()
        start = module.mu.clone()
        _, mu = module.forward_with_bases(self.sample())
        assert_same(module.mu, momentum * start + (1 - momentum) * mu.mean(0, keepdim=True))

    def test_bases_carry_no_gradient(self, implementation):
        module = self.built(implementation)
        y, mu = module.forward_with_bases(self.sample().requires_grad_())
        y.sum().backward()
        assert not mu.requires_grad
        assert module.conv1.weight.grad is None
        assert module.conv2.weight.grad is not None

    def test_bases_start_with_unit_norm(self):
        torch.testing.assert_close(EMAU(16).mu.norm(dim=1), torch.ones(1, 64))


class TestEMAUFewBases(ModuleContract):
    """So few bases that the first convolution meets them in place of the positions."""

    cls = EMAU
    differentiable = False
    options: ClassVar = {"bases": 2}

    def build(self, *args, **options):
        torch.manual_seed(0)
        return super().build(*args, **options)


@pytest.mark.parametrize(("side", "moved"), [(4, False), (16, True)])
def test_multiplications_of_the_quicker_order(side, moved):
    c, k, t, n = 64, 4, 3, side**2
    macs = views.macs(trace(EMAU(c, bases=k, iterations=t), (1, c, side, side)))
    first = t * (2 * c * c * k + c * k) if moved else c * c * n
    assert macs == first + (2 * t + 1) * c * k * n + c * c * n
