from typing import ClassVar

import pytest
import torch
from modules.contract import ModuleContract

from ctxbench_modules.ccnet import RCCA


class TestRCCA(ModuleContract):
    cls = RCCA
    bad_options = ({"recurrence": 0},)
    recordings: ClassVar = {"rcca_ccnet": {}}

    def test_starts_as_the_identity(self, implementation):
        module, x = self.build(16, (7, 5), implementation).double(), self.sample()
        assert torch.equal(module(x), x)

    @pytest.mark.parametrize(("recurrence", "reached"), [(1, 7 + 5 - 1), (2, 7 * 5)])
    def test_reach(self, recurrence, reached, implementation):
        """One pass sees the column and the row of a position, two passes see every position."""
        module = self.built(implementation)
        module.recurrence = recurrence
        x = self.sample(n=1).requires_grad_()
        module(x)[0, :, 3, 2].sum().backward()
        assert int(x.grad.abs().sum(dim=1).count_nonzero()) == reached


class TestRCCAThreeTimes(ModuleContract):
    cls = RCCA
    options: ClassVar = {"recurrence": 3}
