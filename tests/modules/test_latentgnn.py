from typing import ClassVar

import pytest
import torch
from modules.contract import ModuleContract
from torch.utils.flop_counter import FlopCounterMode

from ctxbench_modules.latentgnn import LatentGNN


class TestLatentGNN(ModuleContract):
    cls = LatentGNN
    bad_options = (
        {"latent_dims": ()},
        {"latent_dims": (4, 0)},
        {"latent_dims": 100},
        {"stride": 0},
        {"merge": "mean"},
    )
    recordings: ClassVar = {
        "latentgnn": {"latent_dims": (6, 5), "stride": 4},
        "latentgnn_sym": {"latent_dims": (16, 12), "stride": 4, "symmetric": True},
        "latentgnn_gc": {"latent_dims": (6,), "stride": 4, "graph_conv": True},
    }

    def test_starts_as_the_identity(self, implementation):
        module, x = self.build(16, (7, 5), implementation).double(), self.sample()
        assert torch.equal(module(x), x)


class TestLatentGNNAbsorbed(ModuleContract):
    """Few nodes and no channel reduction, so that the up-projection meets the nodes."""

    cls = LatentGNN
    options: ClassVar = {"latent_dims": (3, 2), "stride": 1}

    @pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
    def test_gradient_at_batch_one(self, training, implementation):
        module = self.built(implementation, channels=8).train(training)
        x = self.sample(n=1, channels=8).requires_grad_()
        assert torch.autograd.gradcheck(module, x, fast_mode=True)


class TestLatentGNNSum(ModuleContract):
    cls = LatentGNN
    options: ClassVar = {"latent_dims": (3, 2), "stride": 1, "symmetric": True, "merge": "sum"}


class TestLatentGNNSumOfGraphConvolutions(ModuleContract):
    cls = LatentGNN
    options: ClassVar = {"latent_dims": (7, 6), "stride": 2, "graph_conv": True, "merge": "sum"}


class TestLatentGNNManyNodes(ModuleContract):
    """More nodes than positions, so that the graph convolution meets the positions."""

    cls = LatentGNN
    options: ClassVar = {"latent_dims": (70,), "stride": 2, "graph_conv": True}


@pytest.mark.parametrize("stride", [1, 8], ids=["absorbed", "mapped"])
def test_multiplications_of_the_quicker_order(stride):
    """At 64 channels the up-projection joins the nodes exactly where that takes fewer multiplications."""
    channels, nodes, positions = 64, 10, 16 * 16
    reduced = channels // stride
    module = LatentGNN(channels, latent_dims=(nodes,), stride=stride, symmetric=True).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.zeros(1, channels, 16, 16))
    maps = reduced * (channels + 2 * nodes)
    tail = {1: channels * nodes, 8: reduced * (nodes + channels)}[stride]
    latent = reduced * (2 * nodes * nodes) + {1: channels * reduced * nodes, 8: 0}[stride]
    assert counter.get_total_flops() == 2 * ((maps + tail) * positions + latent)
