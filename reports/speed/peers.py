"""Other people's blocks, built from where their repositories lie, with the weights that ours then take.

Of a file only the named definitions are executed, so that none of the frameworks they belong to need be
installed; the few names of those frameworks that they use are here, as plain PyTorch of the same operations.
"""

import ast
import functools
import math
import subprocess
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ctxbench_modules import SPECS


@dataclass(frozen=True)
class Peer:
    """A row of ``peers.toml``, where its fields are explained."""

    block: str
    repository: str
    commit: str
    file: str
    definitions: list[str]
    call: str
    rename: dict[str, str] = field(default_factory=dict)
    ours: dict[str, Any] = field(default_factory=dict)
    needs: str = "True"
    differs: str = ""


class MissingError(Exception):
    """There is no such peer here; the message is the reason."""


def known() -> list[Peer]:
    """All peers, in the order of the table."""
    return [Peer(**row) for row in tomllib.loads(Path(__file__).with_name("peers.toml").read_text())["peer"]]


class ConvModule(nn.Module):
    """mmcv's convolution, normalised where asked for, then ReLU unless ``act_cfg`` is None."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        padding: int = 0,
        norm_cfg: object = None,
        act_cfg: object = True,
        **_: object,
    ) -> None:
        super().__init__()
        self.norm_cfg = norm_cfg
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=padding, bias=norm_cfg is None)
        self.bn = nn.Identity() if norm_cfg is None else nn.BatchNorm2d(out_channels)
        self.activate = nn.Identity() if act_cfg is None else nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, D, H, W)."""
        y: Tensor = self.activate(self.bn(self.conv(x)))
        return y


class Scale(nn.Module):
    """mmcv's scalar factor."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([scale]))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, D, H, W)."""
        return x * self.scale


class BaseDecodeHead(nn.Module):
    """mmseg's, without a classifier."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.in_channels, self.channels = in_channels, channels
        self.conv_cfg, self.norm_cfg, self.act_cfg = None, True, True

    _transform_inputs = cls_seg = staticmethod(lambda x: x)


class ModuleHelper:
    """ANN's choice of a batch normalisation."""

    @staticmethod
    def BatchNorm2d(norm_type: object = None) -> type[nn.Module]:  # noqa: N802 (their name)
        """The class, whatever was asked for."""
        return nn.BatchNorm2d

    @staticmethod
    def BNReLU(channels: int, norm_type: object = None) -> nn.Module:  # noqa: N802 (their name)
        """Batch normalisation, then ReLU."""
        return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())


class Twice(nn.Module):
    """The recurrence of CCNet's head."""

    def __init__(self, cca: nn.Module) -> None:
        super().__init__()
        self.cca = cca

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, D, H, W)."""
        y: Tensor = self.cca(self.cca(x))
        return y


class OfOneMap(nn.Module):
    """A block of two maps, given one."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, D, H, W)."""
        y: Tensor = self.block(x, x)
        return y


def _minus_infinity(batch: int, height: int, width: int) -> Tensor:
    """CCNet's ``INF``, which makes it on a GPU."""
    return -torch.diag(torch.tensor(float("inf")).repeat(height), 0)[None].repeat(batch * width, 1, 1)


class _Registry:
    @staticmethod
    def register_module() -> Callable[[type], type]:
        return lambda cls: cls


def _names() -> dict[str, Any]:
    """What the definitions may refer to."""
    from_torch = {name: getattr(nn, name) for name in ("Module", "Conv2d", "Softmax", "Parameter")}
    ours = {c.__name__: c for c in (ConvModule, Scale, BaseDecodeHead, ModuleHelper, Twice, OfOneMap)}
    return {
        **from_torch, **ours, "torch": torch, "nn": nn, "F": functional, "math": math, "np": np,
        "Dict": dict, "Optional": Optional, "ABCMeta": type, "HEADS": _Registry, "MODELS": _Registry,
        "resize": functional.interpolate, "INF": _minus_infinity, "_BatchNorm": nn.BatchNorm2d,
        "norm_layer": functools.partial(nn.BatchNorm2d, momentum=3e-4),
        "normal_init": lambda module, std: nn.init.normal_(module.weight, std=std),
        "constant_init": lambda module, value: nn.init.constant_(module.weight, value),
    }  # fmt: skip


def build(peer: Peer, folder: Path, shape: tuple[int, int, int, int]) -> nn.Module:
    """The peer for maps of ``shape``, with random weights; raises MissingError where it cannot be had."""
    _, channels, height, width = shape
    where = folder / peer.repository
    if not (where / peer.file).is_file():
        raise MissingError(f"{peer.repository} is not in the folder of peers")
    commit = subprocess.run(
        ["git", "-C", where, "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    if commit != peer.commit:
        raise MissingError(f"{peer.repository} is at {commit or 'no commit'}, not {peer.commit}")
    sizes = {"C": channels, "H": height, "W": width}
    if not eval(peer.needs, sizes.copy()):
        raise MissingError(f"it is written for {peer.needs}")
    names = _names()
    tree = ast.parse((where / peer.file).read_text(encoding="utf-8"))
    tree.body = [part for part in tree.body if getattr(part, "name", None) in peer.definitions]
    exec(compile(tree, peer.file, "exec"), names)
    torch.manual_seed(0)
    module: nn.Module = eval(peer.call, names, sizes)
    randomise(module)
    return module


def randomise(module: nn.Module) -> None:
    """Weights of ordinary size everywhere: a last layer of zeros would hide the rest."""
    for weight in module.parameters():
        if weight.dim() > 1:
            nn.init.normal_(weight, std=weight[0].numel() ** -0.5)
        else:
            nn.init.uniform_(weight, 0.5, 1.5)


def ours(block: str, form: str, shape: tuple[int, int, int, int], options: Mapping[str, Any]) -> nn.Module:
    """Our block in one of its forms."""
    module, _, name = SPECS[block].target.partition(":")
    cls = getattr(__import__(module, fromlist=[name]), name)
    sized = {"size": shape[2:]} if block == "reconet" else {}
    built: nn.Module = cls(shape[1], implementation=form, **sized, **options)
    return built


def share_weights(peer: Peer, theirs: nn.Module, form: nn.Module) -> None:
    """Load the peer's weights into ours; raises ValueError where the keys are not those we know."""
    state = {}
    for key, value in theirs.state_dict().items():
        key = key.removeprefix("block.")
        for old, new in peer.rename.items():
            key = new + key.removeprefix(old) if key.startswith(old) else key
        state[key] = value
    form.load_released(state)  # type: ignore[operator]


def output(result: Any) -> Tensor:
    """The map among what a block returns."""
    return result[0] if isinstance(result, tuple) else result  # type: ignore[no-any-return]
