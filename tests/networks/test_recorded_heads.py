"""Heads against recordings of their authors' code, whose weights come in by the names of a release."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from recorded_heads import CHANNELS, FIXTURES, RECORDED, small
from torch import Tensor, nn

from ctxbench.networks.network import Segmenter, head_class
from ctxbench.networks.registry import NETWORKS
from ctxbench.networks.released import load_network
from ctxbench.networks.rivals.hamnet import BASES


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
