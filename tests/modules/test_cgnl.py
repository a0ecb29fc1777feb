from typing import ClassVar

import pytest
import torch
from modules.test_pspnet import SingleFormContract

from ctxbench_modules.cgnl import CGNL


class TestCGNL(SingleFormContract):
    cls = CGNL
    bad_options = ({"width": 0}, {"groups": 0}, {"groups": 3}, {"scale": 1})
    recordings: ClassVar = {"cgnl": {"groups": 4}}

    def test_starts_as_the_identity(self, implementation: str) -> None:
        module, x = self.build(16, (7, 5), implementation).double(), self.sample()
        assert torch.equal(module(x), x)


@pytest.mark.parametrize("scale", [False, True])
def test_it_is_attention_among_all_values_of_a_group(scale: bool) -> None:
    module = CGNL(8, groups=2, scale=scale).double()
    x = torch.randn(1, 8, 3, 4, dtype=torch.float64)
    seen = []
    module.aggregate.register_forward_hook(lambda _, inputs, y: seen.append(y))
    module(x)
    theta, phi, g = (layer(x).reshape(2, 2 * 12) for layer in (module.t, module.p, module.g))
    for group, y in enumerate(seen[0].reshape(2, 2 * 12)):
        attention = torch.outer(theta[group], phi[group]) / (24**0.5 if scale else 1)
        torch.testing.assert_close(attention @ g[group], y)
