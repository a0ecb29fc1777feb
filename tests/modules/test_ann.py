from typing import ClassVar

import pytest
import torch
from modules.contract import ModuleContract, assert_same, backward, load_recording, released_state

from ctxbench.tracing import trace, views
from ctxbench_modules.ann import AFNB, APNB

BAD = (
    {"key_channels": 0},
    {"value_channels": -1},
    {"psp_sizes": ()},
    {"psp_sizes": (1, 0)},
    {"psp_sizes": 3},
    {"dropout": "half"},
    {"dropout": 1.5},
)


class TestAFNB(ModuleContract):
    cls = AFNB
    bad_options = (*BAD, {"low_channels": 0})

    def test_two_inputs_as_released(self, implementation):
        data = load_recording("afnb")
        low, high = data["x"], data["x1"]
        module = AFNB(32, low_channels=16, key_channels=8, value_channels=12, implementation=implementation)
        module.double().load_released(released_state(data))
        result = backward(module.eval(), high, low, g=data["g"])
        for key, expected in (("y", "y"), ("gx", "gx1"), ("gx1", "gx")):
            assert_same(result[key], data[expected])

    def test_low_level_features_may_have_another_size(self, implementation):
        module = AFNB(16, low_channels=8, implementation=implementation)
        assert module(torch.ones(2, 16, 5, 7), torch.ones(2, 8, 9, 4)).shape == (2, 16, 5, 7)

    def test_bad_low_level_features(self):
        with pytest.raises(ValueError, match=r"\(N, 8, H, W\)"):
            AFNB(16, low_channels=8)(torch.ones(2, 16, 5, 7))


class TestAFNBContext(ModuleContract):
    cls = AFNB
    options: ClassVar = {"key_channels": 6, "value_channels": 5, "norm": False, "fuse": False}

    def test_starts_at_zero(self, implementation):
        assert not self.build(16, (7, 5), implementation)(torch.ones(2, 16, 7, 5)).any()


class TestAPNB(ModuleContract):
    cls = APNB
    bad_options = BAD
    recordings: ClassVar = {"apnb": {"key_channels": 8, "value_channels": 12}}


class TestAPNBContext(ModuleContract):
    cls = APNB
    options: ClassVar = {"norm": False, "fuse": False}


class TestAFNBFewAnchors(ModuleContract):
    """So few anchors that the convolutions after the attention meet them in place of the positions."""

    cls = AFNB
    options: ClassVar = {"psp_sizes": (1, 2), "key_channels": 8, "value_channels": 12}


class TestAFNBContextFewAnchors(ModuleContract):
    cls = AFNB
    options: ClassVar = {**TestAFNBFewAnchors.options, "norm": False, "fuse": False}


class TestAPNBFewAnchors(ModuleContract):
    cls = APNB
    options: ClassVar = {"psp_sizes": (1, 2), "norm": False}


@pytest.mark.parametrize("block", [AFNB, APNB])
@pytest.mark.parametrize("norm", [True, False])
def test_anchors_save_multiplications_on_a_large_map(block, norm):
    def multiplications(implementation):
        module = block(64, key_channels=32, value_channels=32, norm=norm, implementation=implementation)
        return views.macs(trace(module, (1, 64, 40, 40)))

    assert multiplications("fast") < multiplications("published")
