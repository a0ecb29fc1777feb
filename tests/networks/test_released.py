"""Files of whole networks: by the names of their authors and of mmsegmentation, or refused in one line."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from recorded_heads import CHANNELS, FIXTURES, RECORDED, small
from safetensors.torch import save_file
from tiny import TINY, tiny_folder
from torch import Tensor

from ctxbench.errors import UserError
from ctxbench.networks.network import Segmenter
from ctxbench.networks.released import load_network
from ctxbench.networks.weights import is_state
from ctxbench.train.config import configure
from ctxbench.train.job import Job

State = dict[str, Tensor]

MMSEGMENTATIONS: dict[str, dict[str, str]] = {
    "encnet_head": {
        r"head\.conv5\.0": "decode_head.bottleneck.conv",
        r"head\.conv5\.1": "decode_head.bottleneck.bn",
        r"head\.encmodule\.encoding\.0": "decode_head.enc_module.encoding_project.conv",
        r"head\.encmodule\.encoding\.1": "decode_head.enc_module.encoding_project.bn",
        r"head\.encmodule\.encoding\.3": "decode_head.enc_module.encoding.0",
        r"head\.encmodule\.encoding\.4": "decode_head.enc_module.encoding.1",
        r"head\.encmodule\.fc\.0": "decode_head.enc_module.fc.0",
        r"head\.encmodule\.selayer": "decode_head.se_layer",
        r"head\.conv6\.1": "decode_head.conv_seg",
        r"auxlayer\.conv5\.0": "auxiliary_head.convs.0.conv",
        r"auxlayer\.conv5\.1": "auxiliary_head.convs.0.bn",
        r"auxlayer\.conv5\.4": "auxiliary_head.conv_seg",
    },
    "ann_head": {
        r"(fusion|context\.2)\.stages\.0\.f_(key|query)\.0": r"\1.stages.0.\2_project.conv",
        r"(fusion|context\.2)\.stages\.0\.f_(key|query)\.1\.0": r"\1.stages.0.\2_project.bn",
        r"(fusion|context\.2)\.stages\.0\.f_value": r"\1.stages.0.value_project",
        r"(fusion|context\.2)\.stages\.0\.W": r"\1.stages.0.out_project",
        r"(fusion|context\.2)\.conv_bn_dropout\.0": r"\1.bottleneck.conv",
        r"fusion\.conv_bn_dropout\.1": "fusion.bottleneck.bn",
        r"context\.2\.conv_bn_dropout\.1\.0": "context.2.bottleneck.bn",
        r"context\.0": "bottleneck.conv",
        r"context\.1\.0": "bottleneck.bn",
        r"cls": "conv_seg",
    },
}
"""The authors' names of modules, and mmsegmentation's, read from its source."""


def recorded(name: str) -> State:
    if not (file := FIXTURES / f"{name}.npz").exists():
        pytest.skip(f"no {file}")
    arrays = np.load(file)
    return {key[2:]: torch.from_numpy(arrays[key]) for key in arrays.files if key.startswith("w:")}


def in_mmsegmentation(name: str, state: State) -> State:
    """The state by mmsegmentation's names, without biases before norms: what they add is in the means."""
    renamed: State = {}
    for key, value in state.items():
        module, _, leaf = key.rpartition(".")
        for ours, theirs in MMSEGMENTATIONS[name].items():
            if re.fullmatch(ours, module):
                path = re.sub(ours, theirs, module).replace("context.2.", "context.")
                whole = path if path.startswith(("decode_head.", "auxiliary_")) else f"decode_head.{path}"
                renamed[f"{whole}.{leaf}"] = value.clone()
    for key in [key for key in renamed if key.endswith("conv.bias")]:
        renamed[key.replace("conv.bias", "bn.running_mean")] -= renamed.pop(key)
    return renamed


def whole(network: Segmenter, head: State, prefix: str) -> State:
    """A file's content: a head by some names, and the network's own backbone."""
    body = {f"{prefix}{key}": value + 1 for key, value in network.backbone.state_dict().items()}
    return {**body, **head}


def evaluated(network: Segmenter, name: str) -> Tensor:
    arrays = np.load(FIXTURES / f"{name}.npz")
    c5, c4 = (torch.from_numpy(arrays[key]) for key in ("x", "x1"))
    sides = [torch.zeros(len(c5), c, *c5.shape[2:], dtype=c5.dtype) for c in CHANNELS[:2]]
    with torch.no_grad():
        logits: Tensor = network.eval().head([*sides, c4, c5])
    return logits


def network_of(recording: str) -> Segmenter:
    model, options, auxiliary = RECORDED[recording]
    return small(model, options, auxiliary).double()


@pytest.mark.parametrize("recording", MMSEGMENTATIONS)
def test_mmsegmentations_file_gives_the_recorded_logits(recording: str, tmp_path: Path) -> None:
    network = network_of(recording)
    state = in_mmsegmentation(recording, recorded(recording))
    torch.save({"meta": {"epoch": 3}, "state_dict": whole(network, state, "backbone.")}, tmp_path / "m.pth")
    report = load_network(network, tmp_path / "m.pth")
    assert "by the names of mmsegmentation" in str(report)
    expected = torch.from_numpy(np.load(FIXTURES / f"{recording}.npz")["y"])
    torch.testing.assert_close(evaluated(network, recording), expected, rtol=0, atol=1e-9)


TORCHCV = {"conv1.0": "conv1", "conv1.1": "bn1", "conv1.3": "conv2", "conv1.4": "bn2", "conv1.6": "conv3"}


def authors_of_ann(network: Segmenter, head: State) -> State:
    """As torchcv writes it: the stem by names of its own, below ``prefix``, all below ``module``."""
    body: State = {}
    for key, value in network.backbone.state_dict().items():
        module, _, leaf = key.rpartition(".")
        stem = {**TORCHCV, "bn1": "bn3"}.get(module)
        body[f"backbone.prefix.{stem}.{leaf}" if stem else f"backbone.{key}"] = value + 1
    return {f"module.{key}": value for key, value in {**body, **head}.items()}


@pytest.mark.parametrize(
    ("recording", "content"),
    [
        ("encnet_head", lambda network, head: {"state_dict": whole(network, head, "pretrained.")}),
        ("encnet_head", lambda network, head: whole(network, head, "module.pretrained.")),
        ("dmnet_head", lambda network, head: {"state_dict": whole(network, head, "backbone.")}),
        ("ann_head", authors_of_ann),
    ],
)
def test_the_backbone_comes_with_it(
    recording: str, content: Callable[[Segmenter, State], Any], tmp_path: Path
) -> None:
    network = network_of(recording)
    before = {key: value.clone() for key, value in network.backbone.state_dict().items()}
    torch.save(content(network, recorded(recording)), tmp_path / "released.pth")
    report = load_network(network, tmp_path / "released.pth")
    assert set(report.matched) == set(network.state_dict())
    assert report.unexpected == report.mismatched == ()
    for key, value in network.backbone.state_dict().items():
        torch.testing.assert_close(value, before[key] + 1)


def test_what_is_for_training_alone_and_other_classes_may_differ(tmp_path: Path) -> None:
    network = network_of("encnet_head")
    state = in_mmsegmentation("encnet_head", recorded("encnet_head"))
    kept = {
        key: value for key, value in state.items() if not key.startswith(("auxiliary_", "decode_head.se"))
    }
    kept["decode_head.conv_seg.weight"] = torch.ones(5, 32, 1, 1)
    kept["decode_head.conv_seg.bias"] = torch.ones(5)
    save_file(whole(network, kept, "backbone."), tmp_path / "m.safetensors")
    before = network.state_dict()["head.classify.1.weight"].clone()
    said = str(load_network(network, tmp_path / "m.safetensors"))
    assert "10 missing: head.context.presence.weight, head.context.presence.bias, auxiliary." in said
    assert "2 of another shape left as they were: head.classify.1.weight (5×32×1×1 for 7×32×1×1)" in said
    assert torch.equal(network.state_dict()["head.classify.1.weight"], before)
    network.auxiliary = None
    save_file(whole(network, state, "backbone."), tmp_path / "m.safetensors")
    assert "8 dropped: auxiliary." in str(load_network(network, tmp_path / "m.safetensors"))


def test_cfnets_loss_of_classes_is_for_training_alone_too(tmp_path: Path) -> None:
    network = network_of("cfnet_head")
    state = recorded("cfnet_head")
    kept = {key: value for key, value in state.items() if ".selayer." not in key}
    torch.save(whole(network, kept, "pretrained."), tmp_path / "released.pth")
    said = str(load_network(network, tmp_path / "released.pth"))
    assert "2 missing: head.encoding.presence.weight, head.encoding.presence.bias" in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.pop("head.conv5.0.weight"), "1 missing: head.features.reduce.0.weight"),
        (lambda s: s.update({"head.atten.w": torch.ones(1)}), "1 unexpected: head.atten.w"),
        (
            lambda s: s.update({"head.encmodule.fc.0.bias": torch.ones(3)}),
            r"1 of another shape: head.context.gate.bias \(3 for 32\)",
        ),
        (lambda s: s.pop("pretrained.layer2.0.conv1.weight"), "missing: backbone.layer2.0.conv1.weight"),
        (
            lambda s: [s.pop(key) for key in [*s] if key.startswith("pretrained.")],
            "missing: backbone.conv1.0.weight",
        ),
        (
            lambda s: [s.pop(key) for key in [*s] if not key.startswith("pretrained.")],
            "no head of this network by the names of PyTorch-Encoding or mmsegmentation: pretrained.conv1",
        ),
        (
            lambda s: s.update({"pretrained.conv1.weight": s.pop("pretrained.conv1.0.weight")}),
            "does not fit this network of stem=deep, it needs stem=plain: ",
        ),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_loaded(
    change: Callable[[State], Any], said: str, tmp_path: Path
) -> None:
    network = network_of("encnet_head")
    state = whole(network, recorded("encnet_head"), "pretrained.")
    change(state)
    torch.save(state, tmp_path / "released.pth")
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(UserError, match=said):
        load_network(network, tmp_path / "released.pth")
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_as_many_codewords_as_classes_are_no_classifier(tmp_path: Path) -> None:
    network = network_of("encnet_head")
    network.classes = 8
    state = whole(network, recorded("encnet_head"), "pretrained.")
    state["head.encmodule.encoding.3.codewords"] = torch.ones(9, 32)
    torch.save(state, tmp_path / "released.pth")
    with pytest.raises(
        UserError, match=r"1 of another shape: head\.context\.encoder\.codewords \(9×32 for 8"
    ):
        load_network(network, tmp_path / "released.pth")


def test_a_network_without_a_known_release_says_so(tmp_path: Path) -> None:
    network = network_of("encnet_head")
    torch.save({"a.weight": torch.ones(1)}, tmp_path / "a.pth")
    network.head = torch.nn.Identity()
    with pytest.raises(UserError, match=r"no head of this network by the names of any release: a\.weight"):
        load_network(network, tmp_path / "a.pth")


def test_a_training_starts_from_a_released_file(tmp_path: Path) -> None:
    settings = {**TINY, "root": str(tiny_folder(tmp_path / "data")), "model": "dmnet"}
    network = Job.prepare(configure(settings)).network
    body = {f"backbone.{key}": value for key, value in network.backbone.state_dict().items()}
    names = {"contexts": "decode_head.dcm_modules", "filter": "filter_gen_conv", "reduce": "input_redu_conv"}
    head: State = {}
    for key, value in network.head.state_dict().items():
        if key.startswith("contexts."):
            head[".".join(names.get(part, part) for part in key.split("."))] = value + 1
    fuse = network.head.state_dict()
    for leaf in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
        head[f"decode_head.bottleneck.bn.{leaf}"] = fuse[f"fuse.1.{leaf}"]
    head["decode_head.bottleneck.conv.weight"] = fuse["fuse.0.weight"]
    for leaf in ("weight", "bias"):
        head[f"decode_head.conv_seg.{leaf}"] = fuse[f"classify.1.{leaf}"]
    torch.save({"state_dict": {**body, **head}}, tmp_path / "dmnet.pth")
    job = Job.prepare(configure(settings, {"init": str(tmp_path / "dmnet.pth")}))
    assert "by the names of mmsegmentation; 8 missing: auxiliary." in job.loaded
    loaded = job.network.head.state_dict()
    torch.testing.assert_close(
        loaded["contexts.2.filter.weight"], head["decode_head.dcm_modules.2.filter_gen_conv.weight"]
    )
    (tmp_path / "text.pth").write_text("no weights")
    assert not is_state(tmp_path / "text.pth")
    with pytest.raises(UserError, match=r"text\.pth is no checkpoint of ctxbench"):
        Job.prepare(configure(settings, {"init": str(tmp_path / "text.pth")}))
