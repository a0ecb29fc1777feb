from typing import ClassVar

import pytest
import torch
from modules.test_pspnet import SingleFormContract

from ctxbench_modules.vmamba import SS2D


class TestSS2D(SingleFormContract):
    cls = SS2D
    bad_options = ({"ratio": 0.01}, {"states": 0}, {"gate": 1})
    recordings: ClassVar = {"ss2d": {"states": 4}}


@pytest.mark.slow
class TestOfTheFirstVersion(SingleFormContract):
    cls = SS2D
    options: ClassVar = {"states": 3, "gate": True, "ratio": 1.5}


def test_the_gate_scales_what_is_projected() -> None:
    module, x = SS2D(4, gate=True), torch.randn(1, 4, 3, 5)
    seen = []
    module.norm.register_forward_hook(lambda _, inputs, y: seen.append(y.movedim(3, 1)))
    module.proj.register_forward_hook(lambda _, inputs, y: seen.append(inputs[0]))
    module(x)
    gate = module.inner(x)[:, 8:]
    torch.testing.assert_close(seen[1], seen[0] * gate * gate.sigmoid())
