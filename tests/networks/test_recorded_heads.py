"""Heads against recordings of their authors' code, whose weights come in by the names of a release."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ctxbench.networks.heads import FCNHead
from ctxbench.networks.network import Segmenter, head_class
from ctxbench.networks.registry import NETWORKS
from ctxbench.networks.released import load_network
from ctxbench.networks.resnet import ResNet
from ctxbench.networks.rivals.hamnet import BASES

FIXTURES = Path(os.environ.get("CTXBENCH_FIXTURES", Path(__file__).parents[3] / "shared" / "fixtures"))
WIDTH, CLASSES = 32, 7
CHANNELS = (8, 16, 32, 64)
"""Of C2 to C5 in the recordings: a ResNet's of width 2."""

RECORDED: dict[str, tuple[str, dict[str, Any], int]] = {
    "encnet_head": ("encnet", {"codes": 8}, 8),
    "encnet_head_lateral": ("encnet", {"codes": 8, "lateral": True}, 8),
    "apcnet_head": ("apcnet", {}, 16),
    "cfnet_head": ("cfnet", {"codes": 8, "heads": 4, "se_loss": True}, 8),
    "dmnet_head": ("dmnet", {}, 16),
    "ann_head": ("ann", {"key_channels": 16}, 32),
    "gcnet_head": ("gcnet", {}, 16),
    "dnl_head": ("dnlnet", {"whiten": "image"}, 16),
    "isa_head": ("isanet", {"down_factor": (4, 4)}, 32),
    "ocr_head": ("ocrnet", {}, 0),
    "spnet_head": ("spnet", {"channels": 16, "pools": (5, 3)}, 8),
    "hamnet_head": ("hamnet", {"rank": 8}, 0),
    "light_ham_head": ("lighthamnet", {"rank": 8, "groups": 4}, 0),
}
"""The network, the options of its head, and the width of the auxiliary head."""


def small(model: str, options: dict[str, Any], auxiliary: int) -> Segmenter:
    """A network of the recordings' size; its backbone has their channels."""
    torch.manual_seed(0)
    known = NETWORKS[model].auxiliary
    body = ResNet((1, 1, 1, 1), width=2)
    assert body.channels == CHANNELS
    head = head_class(model)(CHANNELS, CLASSES, **{"channels": WIDTH, "size": (12, 10), **options})
    aux = known and FCNHead(CHANNELS, CLASSES, level=2, channels=auxiliary, bias=known.bias)
    return Segmenter(body, head, aux, classes=CLASSES, losses=NETWORKS[model].losses)


def outputs(network: Segmenter, features: list[Tensor]) -> Sequence[Tensor]:
    """What the head gives for training, at its own stride, with the auxiliary head's at the end."""
    network.head.training = True  # its own flag alone: its parts stay as they are
    returned = network.head(features)
    logits, others = returned if isinstance(returned, tuple) else (returned, {})
    auxiliary = [] if network.auxiliary is None else [network.auxiliary(features)]
    return [logits, *others.values(), *auxiliary]


@pytest.mark.parametrize("form", ["fast", "published"])
@pytest.mark.parametrize("recording", RECORDED)
def test_the_recording(recording: str, form: str, tmp_path: Path) -> None:
    file = FIXTURES / f"{recording}.npz"
    if not file.exists():
        pytest.skip(f"no {file}")
    model, options, auxiliary = RECORDED[recording]
    if "implementation" in NETWORKS[model].options:
        options = {**options, "implementation": form}
    elif form == "published":
        pytest.skip("of one form")
    recorded = np.load(file)
    network = small(model, options, auxiliary).double()
    body = {f"backbone.{key}": value for key, value in network.backbone.state_dict().items()}
    state = {key[2:]: torch.from_numpy(recorded[key]) for key in recorded.files if key.startswith("w:")}
    torch.save({"state_dict": {**body, **state}}, tmp_path / "released.pth")
    report = load_network(network, tmp_path / "released.pth")
    assert set(report.matched) == set(network.state_dict()) - {BASES}
    if "aux:bases" in recorded:  # of each image; the authors draw them at every call, and no file has them
        network.head.context.bases = torch.from_numpy(recorded["aux:bases"])
    network.eval()
    levels = json.loads(str(recorded["meta"]))["inputs"]
    given = {
        level: torch.from_numpy(recorded[f"x{n or ''}"]).requires_grad_() for n, level in enumerate(levels)
    }
    shape = given["C5"].shape
    features = [
        given.get(f"C{n}", torch.zeros(len(given["C5"]), c, *shape[2:], dtype=torch.float64))
        for n, c in zip((2, 3, 4, 5), CHANNELS, strict=True)
    ]
    ours = outputs(network, features)
    expected = [torch.from_numpy(recorded[f"y{n or ''}"]) for n in range(len(ours))]
    for output, of_theirs in zip(ours, expected, strict=True):
        torch.testing.assert_close(output, of_theirs, rtol=0, atol=1e-10 * float(of_theirs.abs().max()))
    upstream = [torch.from_numpy(recorded[f"g{n or ''}"]) for n in range(len(ours))]
    torch.autograd.backward([(y * g).sum() for y, g in zip(ours, upstream, strict=True)])
    for n, level in enumerate(levels):
        gradient = torch.from_numpy(recorded[f"gx{n or ''}"])
        bound = 1e-10 * float(gradient.abs().max())
        torch.testing.assert_close(given[level].grad, gradient, rtol=0, atol=bound)


def test_every_network_with_a_release_is_held_against_a_recording() -> None:
    released = {name for name in NETWORKS if hasattr(head_class(name), "RELEASED")}
    assert released == {model for model, _, _ in RECORDED.values()}
    assert all(issubclass(head_class(name), nn.Module) for name in NETWORKS)
