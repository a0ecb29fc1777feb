"""HamNet's own: a backbone whose layers are numbered, other dilations, slow norms, bases of evaluation."""

from pathlib import Path

import pytest
import torch
from torch import nn

from ctxbench.networks.network import Segmenter, build_network
from ctxbench.networks.released import load_network
from ctxbench.networks.resnet import ResNet
from ctxbench.networks.rivals.hamnet import BASES, HamNet

NUMBERS = {"conv1": 0, "bn1": 1, "layer1": 4, "layer2": 5, "layer3": 6, "layer4": 7}
"""Of the parts of the authors' backbone, a sequence with ReLU and pooling in it."""
HEAD = {
    "head.reduce.0": "squeeze.conv",
    "head.reduce.1": "squeeze.bn",
    "head.context.lower": "hamburger.lower_bread.0",
    "head.align.0": "align.conv",
    "head.align.1": "align.bn",
    "head.classify.1": "fc.1",
}
WITH_CHEESE = {
    "head.context.cheese": "hamburger.cheese.conv",
    "head.context.bn": "hamburger.cheese.bn",
    "head.context.upper": "hamburger.upper_bread",
}
WITHOUT = {"head.context.upper": "hamburger.upper_bread.0", "head.context.bn": "hamburger.upper_bread.1"}


def small(seed: int, dilations: tuple[int, ...] | None, *, cheese: bool) -> Segmenter:
    torch.manual_seed(seed)
    body = ResNet((1, 1, 1, 3), width=2, dilations=dilations)
    head = HamNet(body.channels, 5, channels=8, rank=4, cheese=cheese)
    return Segmenter(body, head, None, classes=5).eval()


@pytest.mark.parametrize("cheese", [True, False])
def test_its_authors_file_gives_the_same_network(cheese: bool, tmp_path: Path) -> None:
    trained, ours = small(1, (2, 8, 16), cheese=cheese), small(2, (2, 8, 16), cheese=cheese)
    names = {**HEAD, **(WITH_CHEESE if cheese else WITHOUT)}
    state = {}
    for key, value in trained.state_dict().items():
        module, _, leaf = key.rpartition(".")
        if key.startswith("backbone."):
            _, part, rest = key.split(".", 2)
            state[f"backbone.{NUMBERS[part]}.{rest}"] = value
        elif key != BASES:
            state[f"{names[module]}.{leaf}"] = value
    torch.save({"net": state, "step": 3, "best_mIoU": 0.1}, tmp_path / "final.pth")
    report = load_network(ours, tmp_path / "final.pth")
    assert report.missing == (BASES,)
    assert report.note == ""
    ours.head.context.bases = trained.head.context.bases
    with torch.no_grad():
        image = torch.randn(1, 3, 65, 70)
        torch.testing.assert_close(ours(image), trained(image))
    others = load_network(small(2, None, cheese=cheese), tmp_path / "final.pth")
    assert "note that its Res-5 is dilated by [2, 8, 16], here by [2, 4, 4]" in str(others)


def test_its_norms_move_slowly_and_the_backbones_do_not() -> None:
    network = build_network("hamnet", 3, backbone="resnet-tiny", channels=16, crop=65)
    momenta = {
        path.partition(".")[0]: part.momentum
        for path, part in network.named_modules()
        if isinstance(part, nn.BatchNorm2d)
    }
    assert momenta == {"backbone": 0.1, "head": 3e-4}
