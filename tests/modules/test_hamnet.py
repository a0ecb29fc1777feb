from functools import partial
from typing import ClassVar

import pytest
import torch
from modules.contract import ModuleContract, load_recording

from ctxbench_modules.hamnet import Hamburger


class HamburgerContract(ModuleContract):
    cls = Hamburger
    differentiable = False

    def build(self, *args, **options):
        torch.manual_seed(0)  # the bases start at random
        return super().build(*args, **options)


class TestNMF(HamburgerContract):
    options: ClassVar = {"rank": 8}
    bad_options = (
        {"width": 0},
        {"rank": 0},
        {"steps": 0},
        {"decomposition": "svd"},
        {"cheese": 1},
        {"norm": "layer"},
        {"norm": "group", "groups": 3},
        {"eval_steps": 0},
        {"one_step_gradient": 1},
    )
    recordings: ClassVar = {"hamburger_nmf_v2": {}}

    def released_form(self, module):
        return partial(module.forward_from_bases, bases=load_recording("hamburger_nmf_v2")["aux:bases"])


@pytest.mark.slow
class TestNMFOfManyBasesWithoutCheese(HamburgerContract):
    """So many bases that no convolution is moved to them."""

    options: ClassVar = {"cheese": False}


@pytest.mark.slow
class TestLight(HamburgerContract):
    """As later heads have it: all updates have their gradient, which is then that of the forward pass."""

    differentiable = True
    options: ClassVar = {
        "rank": 8,
        "cheese": False,
        "norm": "group",
        "eval_steps": 7,
        "one_step_gradient": False,
    }


@pytest.mark.slow
class TestVQ(HamburgerContract):
    options: ClassVar = {"rank": 8, "decomposition": "vq"}


@pytest.mark.slow
class TestCD(HamburgerContract):
    options: ClassVar = {"rank": 8, "decomposition": "cd", "cheese": False, "width": 6}


def test_evaluation_takes_steps_of_its_own():
    torch.manual_seed(0)
    module, x = Hamburger(16, rank=4, steps=1, eval_steps=3, norm="group"), torch.randn(2, 16, 5, 7)
    three = Hamburger(16, rank=4, steps=3, norm="group")
    three.load_state_dict(module.state_dict())
    with torch.no_grad():
        assert torch.equal(module.eval()(x), three.eval()(x))
        three.train()
        torch.manual_seed(1)
        y = three(x)
        torch.manual_seed(1)
        assert not torch.equal(module.train()(x), y)


def test_training_draws_the_bases_anew_and_evaluation_does_not():
    module, x = Hamburger(16, rank=4), torch.randn(2, 16, 5, 7)
    with torch.no_grad():
        assert not torch.equal(module(x), module(x))
        module.eval()
        assert torch.equal(module(x), module(x))
        other = Hamburger(16, rank=4).eval()
        other.load_state_dict(module.state_dict())
        assert torch.equal(other(x), module(x))
