from typing import ClassVar

import pytest
import torch
from modules.contract import ModuleContract
from torch import nn
from torch.nn import functional

from ctxbench.subject import registry
from ctxbench_modules.pspnet import PPM


class SingleFormContract(ModuleContract):
    """The contract for a module of one form: what holds two forms against each other falls away."""

    test_fast_equals_published = None
    test_fast_multiplies_no_more_than_published = None
    test_unknown_implementation = None

    def build(
        self, channels: int, size: tuple[int, int], implementation: str, /, **options: object
    ) -> nn.Module:
        sized = {"size": size} if self.sized else {}
        module = type(self).cls(channels, **{**sized, **self.options, **options})
        module.implementation = implementation  # which the contract reads back
        return module

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        cases = {
            "implementation": (registry.SINGLE,),
            "recording": self.recordings,
            "bad": self.bad_options,
        }
        for name in sorted(cases.keys() & set(metafunc.fixturenames)):
            metafunc.parametrize(name, cases[name], ids=str)


class TestPPM(SingleFormContract):
    cls = PPM
    bad_options = ({"bins": ()}, {"bins": (1, 0)}, {"bins": 3}, {"width": 0})
    recordings: ClassVar = {"ppm_semseg": {}}

    def test_one_value_per_channel_is_normalised_by_the_running_statistics(self) -> None:
        module, x = self.built(registry.SINGLE, channels=8), self.sample(1, 8)
        feature = module.features[0]
        assert torch.equal(feature.train()(x), feature.eval()(x))


def test_each_bin_size_is_resampled_to_the_map() -> None:
    """Where the grid is the map itself, pooling and resampling do nothing."""
    module, x = PPM(8, width=3, bins=(6,)).double().eval(), torch.randn(2, 8, 6, 6, dtype=torch.float64)
    nn.init.constant_(module.features[0].bn.running_var, 1 - 1e-5)  # BN is then the identity
    expected = functional.relu(torch.einsum("dc,nchw->ndhw", module.features[0].conv.weight[..., 0, 0], x))
    torch.testing.assert_close(module(x), torch.cat([x, expected], dim=1))
