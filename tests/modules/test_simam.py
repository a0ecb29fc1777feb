from typing import ClassVar

import pytest
import torch
from modules.test_pspnet import SingleFormContract

from ctxbench_modules.simam import SimAM


class TestSimAM(SingleFormContract):
    cls = SimAM
    bad_options = ({"e_lambda": 0}, {"e_lambda": "small"})
    recordings: ClassVar = {"simam": {}}
    test_released_keys_are_checked = None  # there are none

    def test_nothing_is_loaded(self):
        with pytest.raises(ValueError, match="surplus"):
            SimAM(16).load_released({"surplus": torch.zeros(1)})
