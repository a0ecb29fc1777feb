"""Weights by mmsegmentation's names give what its own heads gave: recordings of its code, names and all."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ctxbench.errors import UserError
from ctxbench.networks.heads import FCNHead
from ctxbench.networks.network import Segmenter, head_class
from ctxbench.networks.registry import NETWORKS
from ctxbench.networks.released import load_network
from ctxbench.networks.resnet import ResNet
from ctxbench.networks.rivals.hamnet import BASES

FIXTURES = Path(__file__).parents[1] / "fixtures"
WIDTH, CLASSES = 8, 5
OPTIONS: dict[str, dict[str, Any]] = {
    "gcnet": {},
    "dnlnet": {"temperature": 0.05, "scale": True, "project": True, "norm": True, "gate": False},
    "isanet": {"down_factor": (4, 4)},
    "ocrnet": {"region_channels": 4},
    "lighthamnet": {"rank": 4, "groups": 4},
}
"""What each network is built with to be mmsegmentation's."""


def built(model: str, **changed: Any) -> Segmenter:
    torch.manual_seed(0)
    body = ResNet((1, 1, 1, 1), width=2, stem="deep-narrow")
    size = {"channels": WIDTH, "size": (6, 5)}
    head = head_class(model)(body.channels, CLASSES, **{**size, **OPTIONS[model], **changed})
    own = NETWORKS[model].auxiliary is not None
    auxiliary = FCNHead(body.channels, CLASSES, level=2, channels=4) if own else None
    return Segmenter(body, head, auxiliary, classes=CLASSES).double().eval()


def recording(model: str) -> dict[str, Tensor]:
    with np.load(FIXTURES / f"mmsegmentation_{model}.npz") as arrays:
        return {key: torch.from_numpy(arrays[key]) for key in arrays.files if key != "meta"}


def written(path: Path, recorded: dict[str, Tensor], network: Segmenter) -> Path:
    """A checkpoint as mmsegmentation writes one, where the deep stem has names of its own; moved by 1."""
    state = {key[2:]: value for key, value in recorded.items() if key.startswith("w:")}
    for key, value in network.backbone.state_dict().items():
        name = re.sub("^conv1", "stem", re.sub("^bn1", "stem.7", key))
        state[f"backbone.{name}"] = value + 1 if value.is_floating_point() else value
    torch.save({"meta": {}, "state_dict": state}, path)
    return path


@pytest.mark.parametrize("model", OPTIONS)
def test_its_weights_give_its_outputs(model: str, tmp_path: Path) -> None:
    recorded, network = recording(model), built(model)
    before = network.backbone.state_dict()["layer4.0.conv1.weight"].clone()
    report = load_network(network, written(tmp_path / "epoch_1.pth", recorded, network))
    assert set(report.matched) == set(network.state_dict()) - {BASES}
    assert "by the names of mmsegmentation; " in str(report)
    assert "align_corners=False" in str(report)
    assert torch.equal(network.backbone.state_dict()["layer4.0.conv1.weight"], before + 1)
    if "aux:bases" in recorded:
        network.head.context.bases = recorded["aux:bases"].double()
    c5, c4, c3 = (recorded[key].double() for key in ("x", "x1", "x2"))
    features = [c3[:, :1], c3, c4, c5]
    with torch.no_grad():
        outputs = [network.head(features)]
        if model == "ocrnet":
            outputs.append(network.head.regions(features))
        elif network.auxiliary is not None:
            outputs.append(network.auxiliary(features))
    tolerance = 1e-7 if model == "dnlnet" else 1e-10  # its scalars are float32 in whatever precision
    for output, key in zip(outputs, ("y", "y1"), strict=False):
        largest = float(recorded[key].abs().max())
        torch.testing.assert_close(output, recorded[key], rtol=0, atol=tolerance * largest)
    assert len(outputs) == sum(key in recorded for key in ("y", "y1"))


def test_what_does_not_fit_is_named_and_nothing_is_loaded(tmp_path: Path) -> None:
    recorded, network = recording("ocrnet"), built("ocrnet", region_channels=6)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(UserError, match=r"of another shape: head\.regions\.reduce\.0\.weight \(4×32×3×3 for"):
        load_network(network, written(tmp_path / "a.pth", recorded, network))
    del recorded["w:decode_head.1.conv_seg.weight"]
    with pytest.raises(UserError, match=r"1 missing: head\.classify\.0\.weight"):
        load_network(built("ocrnet"), written(tmp_path / "b.pth", recorded, network))
    with pytest.raises(UserError, match=r"unexpected: .*; note that .*its block has temperature=0\.05, sc"):
        load_network(
            built("dnlnet", norm=False), written(tmp_path / "c.pth", recording("dnlnet"), built("dnlnet"))
        )
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
