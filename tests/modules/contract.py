"""What every context module of ``ctxbench_modules`` must hold to.

A module's test file inherits it::

    class TestNonLocal(ModuleContract):
        cls = NonLocal
        bad_options = ({"width": 0},)
        recordings = {"nonlocal_alexhex": {}}
"""

import copy
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from ctxbench.paper.offers.presets import configurations
from ctxbench.tracing import trace, views
from ctxbench_modules import SPECS

FIXTURES = Path(__file__).parents[1] / "fixtures"
IMPLEMENTATIONS = ("fast", "published")
RTOL = 1e-10


def load_recording(name: str) -> dict[str, Tensor]:
    """The arrays of ``tests/fixtures/NAME.npz`` as tensors, without its ``meta``."""
    with np.load(FIXTURES / f"{name}.npz") as arrays:
        return {key: torch.from_numpy(arrays[key]) for key in arrays.files if key != "meta"}


def released_state(recording: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The authors' state dict out of a recording (keys ``w:…``)."""
    return {key[2:]: value for key, value in recording.items() if key.startswith("w:")}


def randomise(module: nn.Module) -> None:
    """Random weights of ordinary size everywhere, since zero-initialised last layers would hide the rest."""
    generator = torch.Generator().manual_seed(7)
    for p in module.parameters():
        if p.dim() > 1:
            p.data.normal_(0, math.sqrt(p.shape[0] / p.numel()), generator=generator)
        else:
            p.data.uniform_(0.5, 1.5, generator=generator)
    for key, buffer in module.named_buffers():
        if key.endswith(("running_mean", "running_var")):
            buffer.uniform_(0.5, 1.5, generator=generator)


def backward(
    module: nn.Module, *inputs: Tensor, g: Tensor | None = None, call: Callable[..., Tensor] | None = None
) -> dict[str, Tensor]:
    """Output ``y``, input gradients ``gx``, ``gx1``…, and the module's state with gradients for parameters.

    ``call`` is what to compute, by default the module's forward; ``g`` is the gradient at its output.
    Parameters are overwritten by their gradients, so that an implementation which stores them in another
    form is compared in the form of its state dict; buffers are those after the forward pass.
    """
    leaves = [x.clone().requires_grad_() for x in inputs]
    torch.manual_seed(0)
    y = (call or module)(*leaves)
    if g is None:
        g = torch.randn(y.shape, generator=torch.Generator().manual_seed(5), dtype=y.dtype)
    y.backward(g)
    for p in module.parameters():
        p.data = torch.zeros_like(p) if p.grad is None else p.grad
    names = ["gx"] + [f"gx{i}" for i in range(1, len(leaves))]
    gradients = {name: leaf.grad for name, leaf in zip(names, leaves, strict=True)}
    return {"y": y.detach(), **gradients, **module.state_dict()}


def assert_same(actual: Tensor, expected: Tensor, scale: float | None = None) -> None:
    """Equal to 1e-10 of ``scale``, by default of the largest expected value."""
    scale = float(expected.abs().max()) if scale is None else scale
    torch.testing.assert_close(actual, expected, rtol=0, atol=RTOL * scale)


def assert_same_run(actual: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Two results of :func:`backward` agree.

    Parameter gradients are held against the largest of them all: some are zero but for rounding, such as
    that of a bias which the soft-max cancels.
    """
    assert actual.keys() == expected.keys()
    largest = max(float(value.abs().max()) for value in expected.values())
    for key, value in expected.items():
        assert_same(actual[key], value, None if key == "y" or key.startswith("gx") else largest)


class ModuleContract:
    """The tests. ``cls`` is the module, ``options`` what it is built with beyond channels (and size)."""

    cls: ClassVar[Callable[..., nn.Module]]
    options: ClassVar[Mapping[str, Any]] = {}
    sized: ClassVar[bool] = False
    """The constructor wants ``size``."""
    differentiable: ClassVar[bool] = True
    """Its gradient is that of its forward pass."""
    bad_options: ClassVar[tuple[Mapping[str, Any], ...]] = ()
    """Options that must raise ValueError at 16 channels, added to ``options``."""
    recordings: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Fixture name to the options that reproduce it."""

    def build(
        self, channels: int, size: tuple[int, int], implementation: str, /, **options: Any
    ) -> nn.Module:
        sized = {"size": size} if self.sized else {}
        merged = {**sized, **self.options, "implementation": implementation, **options}
        return type(self).cls(channels, **merged)

    def built(self, implementation: str, channels: int = 16, size: tuple[int, int] = (7, 5)) -> nn.Module:
        """In float64, with random weights and buffers that any implementation of the class shares."""
        fast = self.build(channels, size, "fast").double()
        randomise(fast)
        module = self.build(channels, size, implementation).double()
        module.load_state_dict(fast.state_dict())
        return module

    def released_form(self, module: nn.Module) -> Callable[..., Tensor]:
        """What the recorded code computes, in terms of ours."""
        return module

    @staticmethod
    def sample(n: int = 2, channels: int = 16, size: tuple[int, int] = (7, 5)) -> Tensor:
        generator = torch.Generator().manual_seed(3)
        return torch.randn(n, channels, *size, generator=generator, dtype=torch.float64)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "recording" in metafunc.fixturenames:
            metafunc.parametrize("recording", self.recordings)
        if "counted" in metafunc.fixturenames:
            names = [s.name for s in SPECS.values() if s.target.endswith(f":{self.cls.__name__}")]
            table10 = [known for name in names if (known := configurations(64).get(name))]
            metafunc.parametrize("counted", [{}, *table10], ids=["own", "table10"][: 1 + len(table10)])
        if "bad" in metafunc.fixturenames:
            metafunc.parametrize("bad", self.bad_options, ids=str)
        if "implementation" in metafunc.fixturenames:
            metafunc.parametrize("implementation", IMPLEMENTATIONS)

    @pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
    @pytest.mark.parametrize(("channels", "size", "n"), [(8, (5, 7), 1), (10, (9, 3), 3), (24, (6, 11), 2)])
    def test_shape_and_dtype(self, channels, size, n, dtype, training, implementation):
        module = self.build(channels, size, implementation).to(dtype).train(training)
        assert (module.in_channels, module.implementation) == (channels, implementation)
        x = self.sample(n, channels, size).to(dtype).requires_grad_()
        y = module(x)
        assert y.shape == (n, module.out_channels, *size)
        assert y.dtype == dtype
        y.float().square().sum().backward()
        assert y.isfinite().all()
        assert x.grad.isfinite().all()

    @pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
    @pytest.mark.parametrize(("channels", "size", "n"), [(8, (5, 7), 1), (10, (9, 3), 3), (24, (6, 11), 2)])
    def test_fast_equals_published(self, channels, size, n, training):
        x = self.sample(n, channels, size)
        fast, published = (
            backward(self.built(implementation, channels, size).train(training), x)
            for implementation in IMPLEMENTATIONS
        )
        assert_same_run(fast, published)

    @pytest.mark.parametrize("size", [(3, 3), (8, 8), (16, 16), (40, 40)], ids=str)
    def test_fast_multiplies_no_more_than_published(self, size, counted):
        fast, published = (
            views.macs(trace(self.build(64, size, implementation, **counted), (1, 64, *size)))
            for implementation in IMPLEMENTATIONS
        )
        assert 0 < fast <= published

    @pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
    def test_gradients_are_those_of_finite_differences(self, training, implementation):
        """Both forms could be wrong alike: torch 2.13's CPU batch norm is, at N = 1, for some strides."""
        if not self.differentiable:
            pytest.skip("its forward pass is made without gradient in part")
        module = self.built(implementation, 8, (5, 4)).train(training)

        def forward(x: Tensor) -> Tensor:
            torch.manual_seed(0)  # dropout
            return copy.deepcopy(module)(x)  # buffers move in training

        x = self.sample(1, 8, (5, 4)).requires_grad_()
        assert torch.autograd.gradcheck(forward, x, fast_mode=True)

    def test_inference_equals_training_graph(self, implementation):
        module, x = self.built(implementation).eval(), self.sample()
        before = x.clone()
        with torch.no_grad():
            y = module(x)
        assert_same(y, module(x).detach())
        assert torch.equal(x, before)

    def test_one_position(self, implementation):
        module, x = self.built(implementation, size=(1, 1)).eval(), self.sample(size=(1, 1))
        assert module(x).isfinite().all()

    def test_state_dicts_interchange(self, implementation):
        module = self.built(implementation)
        other = self.build(16, (7, 5), "published" if implementation == "fast" else "fast").double()
        other.load_state_dict(module.state_dict(), strict=True)
        state = other.state_dict()
        assert list(state) == list(module.state_dict())
        for key, value in module.state_dict().items():
            assert torch.equal(state[key], value), key
        assert sum(p.numel() for p in other.parameters()) == sum(p.numel() for p in module.parameters())

    def test_released_weights(self, recording, implementation):
        data = load_recording(recording)
        inputs = [data[key] for key in ("x", "x1") if key in data]
        _, channels, *size = inputs[0].shape
        module = self.build(channels, tuple(size), implementation, **self.recordings[recording]).double()
        module.load_released(released_state(data))
        result = backward(module.eval(), *inputs, g=data["g"], call=self.released_form(module))
        for key in ("y", "gx", "gx1"):
            if key in data:
                assert_same(result[key], data[key])

    def test_released_keys_are_checked(self, recording, implementation):
        data = load_recording(recording)
        _, channels, *size = data["x"].shape
        module = self.build(channels, tuple(size), implementation, **self.recordings[recording])
        state = released_state(data)
        first = next(iter(state))
        with pytest.raises(ValueError, match=first.replace(".", r"\.")):
            module.load_released({key: value for key, value in state.items() if key != first})
        with pytest.raises(ValueError, match="surplus"):
            module.load_released({**state, "surplus": torch.zeros(1)})

    def test_bad_options(self, bad):
        with pytest.raises(ValueError, match=next(iter(bad))):
            self.build(16, (7, 5), "fast", **bad)

    @pytest.mark.parametrize("channels", [0, -1, 8.0])
    def test_bad_channels(self, channels):
        with pytest.raises(ValueError, match="channels"):
            self.build(channels, (7, 5), "fast")

    def test_unknown_implementation(self):
        with pytest.raises(ValueError, match="implementation"):
            self.build(16, (7, 5), "quick")

    @pytest.mark.parametrize("shape", [(2, 15, 7, 5), (16, 7, 5), (1, 2, 16, 7, 5)], ids=str)
    def test_bad_input(self, shape, implementation):
        with pytest.raises(ValueError, match="16"):
            self.build(16, (7, 5), implementation)(torch.zeros(shape))

    def test_deepcopy(self, implementation):
        module, x = self.built(implementation).eval(), self.sample()
        twin = copy.deepcopy(module)
        assert torch.equal(twin(x), module(x))
        for p in twin.parameters():
            p.data.zero_()
        assert all(bool(p.any()) for p in module.parameters())

    def test_fake_tensors(self, implementation):
        with FakeTensorMode():
            module = self.build(16, (7, 5), implementation)
            y = module(torch.empty(2, 16, 7, 5, requires_grad=True))
            y.sum().backward()
        assert y.shape == (2, module.out_channels, 7, 5)

    def test_channels_last(self, implementation):
        module, x = self.built(implementation).eval(), self.sample()
        expected = backward(copy.deepcopy(module), x)
        actual = backward(module, x.contiguous(memory_format=torch.channels_last))
        assert_same_run(actual, expected)

    def test_mixed_precision(self, implementation):
        module, x = self.built(implementation).float().train(), self.sample().float()
        with torch.autocast("cpu", torch.bfloat16):
            trained = module(x.clone().requires_grad_())
        trained.float().square().mean().backward()
        assert all(p.grad is not None for p in module.parameters() if p.requires_grad)
        module.eval()
        with torch.inference_mode():
            exact = module(x)
            with torch.autocast("cpu", torch.bfloat16):
                rounded = module(x).float()
        assert (rounded - exact).norm() <= 0.05 * exact.norm()

    def test_compiles(self):
        module, x = self.built("fast").eval(), self.sample()
        compiled = torch.compile(module, backend="eager", fullgraph=True)
        assert_same(compiled(x).detach(), module(x).detach())
        torch.compiler.reset()
