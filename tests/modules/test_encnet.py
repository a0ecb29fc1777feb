from typing import ClassVar

import pytest
import torch
from modules.contract import (
    IMPLEMENTATIONS,
    ModuleContract,
    assert_same,
    backward,
    load_recording,
    released_state,
)

from ctxbench.tracing import trace, views
from ctxbench_modules.encnet import ContextEncoding


class TestContextEncoding(ModuleContract):
    cls = ContextEncoding
    bad_options = ({"codes": 0}, {"classes": 0})
    recordings: ClassVar = {"encnet": {"codes": 6, "classes": 5}}

    def test_released_weights(self, recording, implementation):
        """Map and logits, whose gradients the recording adds."""
        data = load_recording(recording)
        module = ContextEncoding(32, codes=6, classes=5, implementation=implementation).double().eval()
        module.load_released(released_state(data))

        def both(x):
            return torch.cat([y.flatten() for y in module.forward_with_presence(x)])

        result = backward(
            module, data["x"], g=torch.cat([data["g"].flatten(), data["g1"].flatten()]), call=both
        )
        assert_same(result["y"][: data["y"].numel()], data["y"].flatten())
        assert_same(result["y"][data["y"].numel() :], data["y1"].flatten())
        assert_same(result["gx"], data["gx"])

    @pytest.mark.parametrize("size", [(3, 3), (40, 40)], ids=str)
    def test_fast_multiplies_no_more_than_published(self, size, counted):
        """In operations: those of the residuals are no products."""
        fast, published = (
            views.flops(trace(ContextEncoding(64, implementation=form, **counted), (1, 64, *size)))
            for form in IMPLEMENTATIONS
        )
        assert 0 < fast <= published


def test_the_fast_form_makes_no_residuals():
    fast, published = (
        views.peak_bytes(trace(ContextEncoding(64, implementation=form), (1, 64, 48, 48)))
        for form in IMPLEMENTATIONS
    )
    residuals = 48 * 48 * 32 * 64 * 4
    assert fast < residuals / 4 < residuals < published


def test_no_presence_without_classes():
    with pytest.raises(ValueError, match="without classes"):
        ContextEncoding(8).forward_with_presence(torch.zeros(1, 8, 2, 2))
