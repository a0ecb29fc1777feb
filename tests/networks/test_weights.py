"""Weights: every layout loads to the same backbone, nothing else loads, and nothing is ever executed."""

import os
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from ctxbench.errors import UserError
from ctxbench.networks.resnet import BACKBONES, ResNet, Stem, StrideIn
from ctxbench.networks.weights import load_weights
from ctxbench.train.checkpoint import Checkpoint

State = dict[str, Tensor]

REAL = Path(os.environ.get("CTXBENCH_DATA", Path(__file__).parents[3] / "shared" / "data"))
CAFFE = REAL / "resnet50_caffe_imagenet_backbone_fp16.safetensors"
PHOTOS = REAL / "voc2012_subset.tar"
NO_DATA = f"no {CAFFE.name} or no {PHOTOS.name} in {REAL} (set CTXBENCH_DATA)"


def small(stem: Stem = "deep", stride_in: StrideIn = "3x3") -> ResNet:
    return ResNet((1, 1, 1, 1), width=4, stem=stem, stride_in=stride_in)


def trained(stem: Stem = "deep") -> State:
    """A state whose every tensor differs from a fresh one's."""
    torch.manual_seed(1)
    return {
        key: torch.rand_like(value.float()).to(value.dtype) + 1
        for key, value in small(stem).state_dict().items()
    }


def renamed(state: State, names: dict[str, str]) -> State:
    def rename(key: str) -> str:
        module, _, leaf = key.rpartition(".")
        return f"{names.get(module, module)}.{leaf}"

    return {rename(key): value for key, value in state.items()}


MMSEGMENTATION = {**{f"conv1.{i}": f"stem.{i}" for i in (0, 1, 3, 4, 6)}, "bn1": "stem.7"}
SEMSEG = {
    **{"conv1.0": "conv1", "conv1.3": "conv2", "conv1.6": "conv3"},
    **{"conv1.1": "bn1", "conv1.4": "bn2", "bn1": "bn3"},
}
LAYOUTS: dict[str, Callable[[State], Any]] = {
    "bare": lambda state: state,
    "classifier": lambda state: {**state, "fc.weight": torch.ones(2, 128), "fc.bias": torch.ones(2)},
    "no counters": lambda state: {k: v for k, v in state.items() if "num_batches" not in k},
    "wrapped": lambda state: {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}},
    "mmsegmentation": lambda state: {"state_dict": renamed(state, MMSEGMENTATION)},
    "semseg": lambda state: renamed(state, SEMSEG),
    "half": lambda state: {k: v.half() if v.is_floating_point() else v for k, v in state.items()},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("stem", ["deep", "deep-narrow"])
def test_every_layout_loads(layout: str, stem: Stem, tmp_path: Path) -> None:
    state, backbone = trained(stem), small(stem)
    torch.save(LAYOUTS[layout](state), tmp_path / "weights.pth")
    report = load_weights(backbone, tmp_path / "weights.pth")
    assert set(report.matched) | set(report.missing) == set(state)
    assert report.unexpected == (("fc.weight", "fc.bias") if layout == "classifier" else ())
    assert all("num_batches" in key for key in report.missing)
    loaded = backbone.state_dict()
    for key in report.matched:
        assert loaded[key].dtype == state[key].dtype
        expected = state[key].half() if layout == "half" else state[key]
        torch.testing.assert_close(loaded[key], expected.to(state[key].dtype), rtol=0, atol=0)


def test_safetensors_load_and_say_what_they_are(tmp_path: Path) -> None:
    backbone, state = small("plain"), trained("plain")
    save_file(
        {f"module.{key}": value for key, value in state.items()},
        tmp_path / "weights.safetensors",
        {"style": "caffe", "a": "1", "z": "2", "m": "3"},
    )
    report = load_weights(backbone, tmp_path / "weights.safetensors")
    torch.testing.assert_close(backbone.state_dict()["conv1.weight"], state["conv1.weight"])
    assert (
        str(report)
        == f"{len(state)} keys matched; read under 'module.'; the file says: a: 1, m: 3, style: caffe, z: 2"
    )


def below(state: State, prefix: str) -> State:
    return {f"{prefix}{key}": value for key, value in state.items()}


HEAD = {"decode_head.conv.weight": torch.ones(2, 2), "auxiliary_head.bias": torch.ones(2)}


@pytest.mark.parametrize(
    "prefix",
    ["backbone.", "module.", "encoder.", "module.backbone.", "module.encoder.", "model.net.", "encoder_q."],
)
def test_a_whole_networks_backbone_is_read_under_its_prefix_and_that_is_said(
    prefix: str, tmp_path: Path
) -> None:
    state, backbone = trained(), small()
    torch.save({"state_dict": {**below(state, prefix), **HEAD}}, tmp_path / "weights.pth")
    report = load_weights(backbone, tmp_path / "weights.pth")
    assert report.prefix == prefix
    assert str(report) == (
        f"{len(state)} keys matched; read under {prefix!r}; "
        "2 outside it left out: decode_head.conv.weight, auxiliary_head.bias"
    )
    for key, value in backbone.state_dict().items():
        torch.testing.assert_close(value, state[key], rtol=0, atol=0)


def test_layouts_are_known_under_a_prefix_too(tmp_path: Path) -> None:
    state, backbone = trained(), small()
    torch.save(below(renamed(state, MMSEGMENTATION), "backbone."), tmp_path / "weights.pth")
    load_weights(backbone, tmp_path / "weights.pth")
    torch.testing.assert_close(backbone.state_dict()["conv1.6.weight"], state["conv1.6.weight"])


@pytest.mark.parametrize("second", ["", "backbone."])
def test_a_usual_place_comes_before_others(second: str, tmp_path: Path) -> None:
    state, backbone = trained(), small()
    other = {key: torch.zeros_like(value) for key, value in state.items()}
    torch.save({**below(other, "teacher."), **below(state, second)}, tmp_path / "weights.pth")
    if second:
        assert load_weights(backbone, tmp_path / "weights.pth").prefix == second
        torch.testing.assert_close(backbone.state_dict()["bn1.bias"], state["bn1.bias"])
    else:
        with pytest.raises(UserError, match=r"unexpected: teacher\."):  # not of a whole network: a mixture
            load_weights(backbone, tmp_path / "weights.pth")


def test_of_two_backbones_none_is_guessed(tmp_path: Path) -> None:
    both = {**below(trained(), "encoder_q."), **below(trained(), "encoder_k.")}
    torch.save(both, tmp_path / "weights.pth")
    with pytest.raises(UserError, match=r"holds 2 ResNets, under encoder_q\., encoder_k\.: keep the one"):
        load_weights(small(), tmp_path / "weights.pth")


def test_what_was_tried_is_said_where_no_resnet_is_found(tmp_path: Path) -> None:
    torch.save({"features.0.weight": torch.ones(2)}, tmp_path / "weights.pth")
    with pytest.raises(
        UserError, match=r"no layer1\.0\.conv1\.weight either, under module\., backbone\., enc"
    ):
        load_weights(small(), tmp_path / "weights.pth")


def test_what_does_not_fit_under_a_prefix_says_where_it_was_read(tmp_path: Path) -> None:
    torch.save(below(trained("plain"), "backbone."), tmp_path / "weights.pth")
    with pytest.raises(UserError, match=r"read under 'backbone\.', does not fit .* it needs stem=plain"):
        load_weights(small(), tmp_path / "weights.pth")


def without(state: State, *keys: str) -> State:
    return {key: value for key, value in state.items() if key not in keys}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: without(s, "bn1.bias", "layer2.0.bn3.weight"), "2 missing: bn1.bias, layer2.0.bn3.weight"),
        (lambda s: {**s, "layer1.1.conv1.weight": torch.ones(1)}, "1 unexpected: layer1.1.conv1.weight"),
        (lambda s: {**s, "bn1.bias": torch.ones(3)}, r"1 of another shape: bn1.bias \(3 for 8\)"),
        (lambda s: trained("plain"), "stem=deep, it needs stem=plain"),
        (lambda s: trained("deep-narrow"), "stem=deep, it needs stem=deep-narrow"),
        (lambda s: {**s, "scale": torch.ones(1)}, "1 unexpected: scale$"),
        (lambda s: {"weights": 3}, "no state dict"),
        (lambda s: {3: torch.ones(1)}, "no state dict"),
        (lambda s: [1, 2], "no state dict"),
    ],
)
def test_what_does_not_fit_is_named_and_not_loaded(
    change: Callable[[State], Any], said: str, tmp_path: Path
) -> None:
    backbone = small()
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    torch.save(change(trained()), tmp_path / "weights.pth")
    with pytest.raises(UserError, match=said):
        load_weights(backbone, tmp_path / "weights.pth")
    for key, value in backbone.state_dict().items():
        assert torch.equal(value, before[key])


class Harm:
    """What its unpickling would do shows as a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_code_is_refused_and_never_run(tmp_path: Path) -> None:
    torch.save({"state_dict": Harm(tmp_path / "harmed")}, tmp_path / "weights.pth")
    with pytest.raises(UserError, match="pickled code"):
        load_weights(small(), tmp_path / "weights.pth")
    assert not (tmp_path / "harmed").exists()


def cut_short(path: Path) -> None:
    torch.save(trained(), path)
    path.write_bytes(path.read_bytes()[:300])


def a_script(path: Path) -> None:
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), path)  # type: ignore[no-untyped-call]


HOLDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a module": (
        lambda path: torch.save(nn.Linear(2, 2), path),
        "pickled code (torch.nn.modules.linear.Linear)",
    ),
    "an array": (lambda path: torch.save({"a": np.float64(3)}, path), "pickled code (numpy"),
    "a script": (a_script, "a TorchScript archive, which is code and never run"),
    "a page": (lambda path: path.write_text("<!DOCTYPE html>\n<html>"), "a pickle of more than tensors"),
    "half a file": (cut_short, "a zip archive that is cut short"),
    "zeros": (lambda path: path.write_bytes(bytes(20_000)), "a tar archive, or nothing but zeros"),
    "nothing": (lambda path: path.write_bytes(b""), "no tensors (EOFError"),
}


@pytest.mark.parametrize("kind", HOLDS)
def test_what_a_file_holds_is_said_in_our_words(
    kind: str, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    """torch's own words are several lines with colours, which advise to load the file as code."""
    write, what = HOLDS[kind]
    write(tmp_path / "last.ckpt")
    recwarn.clear()
    for read in (lambda path: load_weights(small(), path), Checkpoint.read):
        with pytest.raises(UserError) as raised:
            read(tmp_path / "last.ckpt")
        message = str(raised.value)
        assert "last.ckpt" in message
        assert f"it holds {what}" in message
        assert not {"\n", "\x1b"} & set(message)
        assert "weights_only" not in message
    assert not recwarn.list


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04 cut short"])
def test_unreadable_files_are_named(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=name) as raised:
        load_weights(small(), tmp_path / name)
    assert "\n" not in str(raised.value)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(UserError, match="no file of weights at nowhere"):
        load_weights(small(), "nowhere.pth")


def photographs(count: int) -> Tensor:
    """Real photographs as ImageNet networks read them, (count, 3, 160, 160)."""
    images = []
    with tarfile.open(PHOTOS) as tar:
        for member in tar:
            if member.name.endswith(".jpg") and (file := tar.extractfile(member)):
                picture = Image.open(BytesIO(file.read())).convert("RGB").resize((160, 160))
                images.append(torch.from_numpy(np.array(picture)).permute(2, 0, 1) / 255)
            if len(images) == count:
                break
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[..., None, None]
    return (torch.stack(images) - mean) / std


def strangeness(backbone: ResNet, images: Tensor) -> float:
    """How far the variances that batch norms see are from those they were trained to: mean |log ratio|."""
    seen: list[Tensor] = []

    def look(norm: nn.BatchNorm2d, args: tuple[Tensor]) -> None:
        assert norm.running_var is not None
        seen.append(((args[0].var((0, 2, 3)) + norm.eps) / (norm.running_var + norm.eps)).log().abs().mean())

    hooks = [m.register_forward_pre_hook(look) for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    with torch.no_grad():
        backbone.eval()(images)
    for hook in hooks:
        hook.remove()
    return torch.stack(seen).mean().item()


@pytest.mark.skipif(not (CAFFE.is_file() and PHOTOS.is_file()), reason=NO_DATA)
def test_real_weights_know_photographs_where_the_stride_is_right() -> None:
    images = photographs(4)
    found = {}
    for stride_in in ("1x1", "3x3"):
        backbone = BACKBONES["resnet50"](stem="plain", stride_in=stride_in)
        report = load_weights(backbone, CAFFE)
        assert len(report.matched) == len(backbone.state_dict())
        found[stride_in] = strangeness(backbone, images)
    assert found["1x1"] < 0.3
    assert found["1x1"] < 0.8 * found["3x3"]
    with pytest.raises(UserError, match="needs stem=plain"):
        load_weights(BACKBONES["resnet50"](stem="deep"), CAFFE)
