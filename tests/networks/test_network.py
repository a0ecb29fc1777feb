"""Whole networks: shapes at odd sizes, every context module in one head, gradients for every parameter."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ctxbench.errors import UserError
from ctxbench.networks import MODELS, Segmenter, build_network
from ctxbench.networks.heads import ContextHead
from ctxbench.networks.registry import find

CLASSES = 3
BLOCKS = """
import torch
from torch import nn
from torch.nn.functional import max_pool2d


class Doubles(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return torch.cat([x, self.scale * x], 1)


class Pools(nn.Module):
    def forward(self, x):
        return max_pool2d(x, 2)


class Shrinks(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.out_channels = channels
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x):
        return self.conv(x)


class Narrows(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.out_channels = channels // 2  # its inner width
        self.down = nn.Conv2d(channels, channels // 2, 1)
        self.up = nn.Conv2d(channels // 2, channels, 1)

    def forward(self, x):
        return self.up(self.down(x))


class Fails(nn.Module):
    def forward(self, x):
        raise RuntimeError("not today")
"""


def tiny(model: str = "reconet", **options: Any) -> Segmenter:
    torch.manual_seed(0)
    return build_network(model, CLASSES, backbone="resnet-tiny", channels=16, **{"crop": 65, **options})


@pytest.mark.parametrize("model", MODELS)
def test_training_gives_both_outputs_at_the_images_size(model: str) -> None:
    network = tiny(model)
    main, auxiliary, *others = network(torch.randn(2, 3, 65, 65))
    assert main.shape == (2, CLASSES, 65, 65)
    without = find(model).auxiliary is None and model != "ocrnet"  # whose head returns them itself
    assert auxiliary is None if without else auxiliary.shape == main.shape
    assert len(others) == len(network.losses)


@pytest.mark.parametrize("model", MODELS)
def test_every_parameter_gets_a_gradient(model: str) -> None:
    """As DistributedDataParallel needs it."""
    network = tiny(model)
    outputs = network(torch.randn(2, 3, 65, 65))
    sum(output.square().mean() for output in outputs if output is not None).backward()
    unused = [name for name, p in network.named_parameters() if p.requires_grad and p.grad is None]
    assert unused == []


@pytest.mark.parametrize("model", ["reconet", "fcn"])
@pytest.mark.parametrize("size", [(65, 65), (66, 97)])
def test_evaluation_gives_logits_at_any_size(model: str, size: tuple[int, int]) -> None:
    network = tiny(model).eval()
    with torch.no_grad():
        assert network(torch.randn(1, 3, *size)).shape == (1, CLASSES, *size)


def test_without_an_auxiliary_head_training_gives_none() -> None:
    network = tiny(auxiliary=False)
    main, auxiliary = network(torch.randn(2, 3, 65, 65))
    assert auxiliary is None
    assert main.shape == (2, CLASSES, 65, 65)
    assert not any("auxiliary" in key for key in network.state_dict())


@pytest.mark.parametrize(
    "context", ["nonlocal", "emau", "se", "aspp", "none", "blocks.py:Doubles", "blocks.py:Narrows"]
)
@pytest.mark.parametrize("global_pool", [True, False])
def test_any_context_module_plugs_in(
    context: str, global_pool: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "blocks.py").write_text(BLOCKS)
    monkeypatch.chdir(tmp_path)
    head = tiny(context=context, global_pool=global_pool).head
    assert isinstance(head, ContextHead)
    features = [torch.randn(2, c, 9, 9) for c in (64, 128, 256, 512)]
    logits = head(features)
    assert logits.shape == (2, CLASSES, 9, 9)
    assert (head.context is None) == (context == "none")
    assert (head.global_pool is None) == (not global_pool)
    if head.context is not None:  # it reaches the logits
        for parameter in head.context.parameters():
            nn.init.normal_(parameter)
        assert not torch.equal(head(features), logits)


def test_the_context_module_sees_the_crops_features_and_its_options() -> None:
    context = tiny(crop=(65, 97), context_options={"rank": 2}).head.context
    assert context.height.weight.shape == (2, 9, 9)
    assert context.width.weight.shape == (2, 13, 13)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"model": "recnet"}, "no model 'recnet'; one of reconet, fcn"),
        ({"backbone": "vgg"}, "no backbone 'vgg'; one of resnet50"),
        ({"classes": 0}, "at least one class"),
        ({"model": "fcn", "context": "emau"}, "not for fcn"),
        ({"model": "pspnet", "global_pool": False}, "not for pspnet"),
        ({"context": "nonlocl"}, "did you mean nonlocal"),
        ({"context_options": {"rnk": 1}}, "no option 'rnk'"),
        ({"context_options": {"channels": 4}}, "head sets its context module's channels: leave that out"),
        ({"context": "none", "context_options": {"rank": 4}}, "nothing to give rank"),
        ({"model": "fcn", "context": "emau", "global_pool": False}, "context, global_pool are for reconet,"),
        ({"context": "blocks.py:Pools"}, "must keep"),
        ({"context": "blocks.py:Shrinks"}, "must keep"),
        ({"context": "blocks.py:Fails"}, "not today"),
    ],
)
def test_what_does_not_fit_is_named(
    given: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "blocks.py").write_text(BLOCKS)
    monkeypatch.chdir(tmp_path)
    arguments: dict[str, Any] = {"model": "reconet", "classes": CLASSES, "backbone": "resnet-tiny"}
    with pytest.raises(UserError, match=said):
        build_network(**{**arguments, "channels": 16, "crop": 65, **given})


@pytest.mark.parametrize("training", [True, False])
def test_one_graph_holds_the_whole_network(training: bool) -> None:
    """As torch.compile sees it; the generated code itself is torch's."""
    network = tiny().train(training)
    for part in network.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    x = torch.randn(2, 3, 65, 65)
    torch.testing.assert_close(torch.compile(network, backend="eager", fullgraph=True)(x), network(x))
