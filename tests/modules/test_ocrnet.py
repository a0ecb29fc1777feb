import pytest
import torch
from modules.contract import ModuleContract, assert_same, backward, load_recording, released_state

from ctxbench_modules.ocrnet import OCR


class TestOCR(ModuleContract):
    cls = OCR
    bad_options = ({"classes": 0}, {"key_channels": 0}, {"dropout": 7}, {"regions": 1})

    @staticmethod
    def recording():
        """The recording, and its weights without the name of the module around the authors' block."""
        data = load_recording("ocr")
        return data, {k.removeprefix("distri."): v for k, v in released_state(data).items()}

    def test_features_and_logits_as_released(self, implementation):
        data, state = self.recording()
        module = OCR(32, classes=5, implementation=implementation).double().eval()
        regions = module.regions.weight.clone()
        module.load_released(state)
        assert torch.equal(module.regions.weight, regions)
        result = backward(module, data["x"], data["x1"], g=data["g"])
        for key in ("y", "gx", "gx1"):
            assert_same(result[key], data[key])

    def test_keys_are_checked(self):
        module, (_, state) = OCR(32, classes=5), self.recording()
        first = next(iter(state))
        with pytest.raises(ValueError, match=first.replace(".", r"\.")):
            module.load_released({key: value for key, value in state.items() if key != first})
        with pytest.raises(ValueError, match="surplus"):
            module.load_released({**state, "surplus": torch.zeros(1)})

    def test_without_logits_they_are_its_own(self, implementation):
        module, x = self.built(implementation).eval(), self.sample()
        with torch.no_grad():
            assert_same(module(x), module(x, module.regions(x)))

    def test_without_regions_the_logits_are_asked_for(self):
        module, x = OCR(16, classes=5, regions=False), torch.zeros(2, 16, 7, 5)
        assert not any(key.startswith("regions") for key in module.state_dict())
        assert module(x, torch.zeros(2, 5, 7, 5)).shape == x.shape
        with pytest.raises(ValueError, match="class logits must be given"):
            module(x)

    def test_bad_logits(self, implementation):
        with pytest.raises(ValueError, match=r"class logits \(2, 19, 7, 5\), got \(2, 19, 5, 7\)"):
            self.build(16, (7, 5), implementation)(torch.zeros(2, 16, 7, 5), torch.zeros(2, 19, 5, 7))
