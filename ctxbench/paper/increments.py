"""What Table 9's networks add to their backbone, and which counting gives the digits printed there.

Heads are counted in their published forms, on features of the size an input has at output stride 8; the
auxiliary head, which is for training alone, is in no count. In G = 10⁹.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from ctxbench.counters import leaf_rule as paper
from ctxbench.networks.network import HEADS
from ctxbench.networks.resnet import BACKBONES, ResNet
from ctxbench.paper.comparison import NOT_REPRODUCIBLE, REPRODUCED
from ctxbench.paper.printed.table10 import fits
from ctxbench.subject import bind, registry, resolve
from ctxbench.tracing import trace

TABLE9_BACKBONE = "resnet101"
TABLE9_SIDES = (512, 513)
"""Sides of the inputs its rows are held against: its numbers were not all made at one."""
VOC_CLASSES = 21

STRIDES = (4, 8, 8, 8)
BILINEAR = 11
"""Operations for each element of a bilinear resizing by thop, which other counters leave out."""
RULE = "Table 10's rule"


@dataclass(frozen=True)
class Reading:
    """One way to count an increment: in words, its departures from plain MACs, and its value in G."""

    words: str
    departures: int
    gflops: float


@dataclass(frozen=True)
class Increment:
    """A head, or the backbone itself, at one input size.

    ``classifier`` and ``bilinear`` (elements resized inside the head) are parts; ``products`` are the MACs of
    matrix products by the part of the head they are in. ``rule`` and ``rule_classifier`` are by Table 10's
    rule, ``fast_gmacs`` of the forms that run by default.
    """

    side: int
    convolutions: float
    classifier: float
    products: Mapping[str, float]
    bilinear: float
    rule: float
    rule_classifier: float
    fast_gmacs: float

    @property
    def gmacs(self) -> float:
        """MACs of every convolution and matrix product, every call."""
        return self.convolutions + sum(self.products.values())

    def readings(self) -> Iterator[Reading]:
        """Every way to count that is tried."""
        size = f"at {self.side}×{self.side}"
        for without in (False, True) if self.classifier else (False,):
            cut = ", no classifier" if without else ""
            yield Reading(f"{RULE}{cut}, {size}", without, self.rule - self.rule_classifier * without)
            for times in product((1, 2, 0), repeat=len(self.products)):
                counted = dict(zip(self.products, times, strict=True))
                value = self.convolutions - self.classifier * without
                value += sum(self.products[part] * n for part, n in counted.items())
                departed = sum(n != 1 for n in times)
                words = f"MACs{_in_words(counted)}{cut}"
                yield Reading(f"{words}, {size}", departed + without, value)
                if self.bilinear:
                    resized = f"{words}, {BILINEAR} per element of a bilinear resizing, {size}"
                    yield Reading(resized, departed + without + 1, value + BILINEAR * self.bilinear)


def _in_words(counted: Mapping[str, int]) -> str:
    how = {2: "twice", 0: "not at all"}
    return "".join(f", matrix products of {part} {how[n]}" for part, n in counted.items() if n != 1)


@dataclass(frozen=True)
class Decode:
    """A printed increment, and every way to count it that was tried, the plainest first."""

    printed: str
    tried: tuple[Reading, ...]

    @property
    def fitting(self) -> list[Reading]:
        """The ways that print as the paper does."""
        return [reading for reading in self.tried if fits(reading.gflops, self.printed)]

    @property
    def nearest(self) -> Reading:
        """The way that comes nearest."""
        return min(self.tried, key=lambda reading: abs(reading.gflops - float(self.printed)))

    @property
    def verdict(self) -> str:
        """Whether some way prints as the paper does."""
        return REPRODUCED if self.fitting else NOT_REPRODUCIBLE

    def __str__(self) -> str:
        tried = f"of {len(self.tried)} ways tried"
        if self.fitting:
            return f"{self.fitting[0].words}; {len(self.fitting)} {tried}"
        off = 100 * (self.nearest.gflops / float(self.printed) - 1)
        return f"none {tried}; nearest {self.nearest.gflops:.2f} G ({off:+.2g} %): {self.nearest.words}"


def decode(printed: str, increments: Mapping[int, Increment]) -> Decode:
    """Hold a printed number against every way to count an increment at the sides tried."""
    tried = [reading for increment in increments.values() for reading in increment.readings()]
    order = sorted(tried, key=lambda reading: (reading.departures, not reading.words.startswith(RULE)))
    return Decode(printed, tuple(order))


class _OnFeatures(nn.Module):
    """A head on empty features of the size that an image has on the backbone."""

    def __init__(self, head: nn.Module, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.head = head
        self.channels = channels

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) to the head's logits."""
        sides = ([-(-side // stride) for side in image.shape[2:]] for stride in STRIDES)
        features = [image.new_empty(len(image), c, *s) for c, s in zip(self.channels, sides, strict=True)]
        logits: Tensor = self.head(features)
        return logits


class _Last(nn.Module):
    """A backbone whose last feature is its output."""

    def __init__(self, backbone: ResNet) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) to C5."""
        c5: Tensor = self.backbone(image)[-1]
        return c5


def _head(model: str, side: int, *, published: bool) -> nn.Module:
    channels = body(TABLE9_BACKBONE).channels
    size = (-(-side // STRIDES[-1]),) * 2
    head = HEADS[model](channels, VOC_CLASSES, size=size)
    return _OnFeatures(in_published_form(head, size) if published else head, channels)


def in_published_form(network: nn.Module, size: tuple[int, int], **options: Any) -> nn.Module:
    """Put the published form of every registered block in the place of its fast one, for counting.

    ``size`` is that of the features, ``options`` are the blocks', ``implementation`` perhaps among them. The
    new blocks' weights are their own.
    """
    names = {resolve.load(name): name for name in registry.SPECS}
    for path, block in list(network.named_modules()):
        if type(block) in names and getattr(block, "implementation", "") == "fast":
            chosen = {**options, "implementation": "published"}
            published = bind.build(names[type(block)], block.in_channels, size, **chosen)
            network.set_submodule(path, published)
    return network


@cache
def body(backbone: str) -> ResNet:
    """A backbone without storage, to be asked for its channels and parameters."""
    with torch.device("meta"):
        return BACKBONES[backbone]()


@cache
def increments(model: str) -> Mapping[int, Increment]:
    """Count a model's head at the sides that Table 9 is held against."""
    found = {}
    for side in TABLE9_SIDES:
        shape = (1, 3, side, side)
        build = partial(_head, model, side, published=True)
        recorded = trace(build, shape)
        leaves = paper.count(build, shape)["leaves"]
        working = [op for op in recorded.ops if op.macs]
        classifier = working[-1]  # every head ends with it
        products: dict[str, float] = {}
        for op in working:
            if "convolution" not in op.name:
                part = op.module.split(".")[1]
                products[part] = products.get(part, 0) + op.macs / 1e9
        resized = [op for op in recorded.ops if "upsample_bilinear" in op.name]
        found[side] = Increment(
            side=side,
            convolutions=sum(op.macs for op in working if "convolution" in op.name) / 1e9,
            classifier=classifier.macs / 1e9,
            products=products,
            bilinear=sum(torch.Size(op.outputs[0]).numel() for op in resized) / 1e9,
            rule=sum(flops for flops, _ in leaves.values()) / 1e9,
            rule_classifier=leaves[classifier.module][0] / 1e9,
            fast_gmacs=sum(op.macs for op in trace(partial(_head, model, side, published=False), shape).ops)
            / 1e9,
        )
    return found


@cache
def backbone_alone() -> Mapping[int, Increment]:
    """Count the backbone alone at the same sides."""
    found = {}
    for side in TABLE9_SIDES:
        shape = (1, 3, side, side)

        def build() -> nn.Module:
            return _Last(BACKBONES[TABLE9_BACKBONE](stem="deep"))

        macs = sum(op.macs for op in trace(build, shape).ops) / 1e9
        rule = paper.count(build, shape)["gflops"]
        found[side] = Increment(side, macs, 0.0, {}, 0.0, rule, 0.0, macs)
    return found
