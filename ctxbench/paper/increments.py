"""What Table 9's networks add to their backbone, and which counting gives the digits printed there.

Heads are counted in their published forms, on features of the size an input has at output stride 8; the
auxiliary head, which is for training alone, is in no count. Counts are integers until they are held against
what is printed, in G = 10⁹. The ways to count them are candidates for the search of
:mod:`ctxbench.audit.matching`, where the words are explained.

N images, H and W their sides, K classes; C5 is the backbone's last feature.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache, cached_property, partial
from itertools import product
from math import prod

from torch import Tensor, nn

from ctxbench.audit.candidates import Candidate, Candidates, Source
from ctxbench.audit.matching import Match, fits, near_misses
from ctxbench.audit.quantity import ROUNDED, Quantity
from ctxbench.counters import leaf_rule
from ctxbench.networks.network import head_class
from ctxbench.networks.published import body, in_published_form
from ctxbench.networks.resnet import BACKBONES, ResNet, feature_size
from ctxbench.paper.comparison import NOT_REPRODUCIBLE, REPRODUCED
from ctxbench.tracing import trace, views

TABLE9_BACKBONE = "resnet101"
TABLE9_SIDES = (512, 513)
"""Sides of the inputs its rows are held against: its numbers were not all made at one."""
VOC_CLASSES = 21

STRIDES = (4, 8, 8, 8)
"""Of C2 to C5, at output stride 8."""
BILINEAR = 11
"""Operations for each element of a bilinear resizing by thop, which other counters leave out."""
GIGA = 10**9
RULE = "Table 10's rule"
PRINTINGS = (ROUNDED,)
"""The paper's tables round: 8.97735 and 2.57653 are 8.98 and 2.58 in Table 10."""


@dataclass(frozen=True)
class Increment:
    """A head, or the backbone itself, at one input size: counts of one image, as integers.

    ``classifier_macs`` are part of ``convolutions_macs``; ``products_macs`` are those of matrix products, by
    the part of the head they are in. ``bilinear_flops`` are of bilinear resizing inside the head, as thop
    counts it. ``rule_flops`` and ``rule_classifier_flops`` are by Table 10's rule, ``fast_macs`` of the forms
    that run by default, all others of the published ones.
    """

    side: int
    convolutions_macs: int
    classifier_macs: int
    products_macs: Mapping[str, int]
    bilinear_flops: int
    rule_flops: int
    rule_classifier_flops: int
    fast_macs: int

    @property
    def macs(self) -> int:
        """Those of every convolution and matrix product, every call."""
        return self.convolutions_macs + sum(self.products_macs.values())


def ways_to_count(increment: Increment) -> Iterator[Candidate]:
    """Every way that is tried, with its value in G: the leaf rule, and MACs of more parts or fewer.

    Matrix products of each part count once, twice or not at all; classifier and bilinear resizing may be out.
    """
    size = f"at {increment.side}×{increment.side}"
    for cut in (False, True) if increment.classifier_macs else (False,):
        out = ", no classifier" if cut else ""
        rule = increment.rule_flops - increment.rule_classifier_flops * cut
        yield Candidate(rule / GIGA, f"{RULE}{out}, {size}", int(cut), is_leaf_rule=True)
        for times in product((1, 2, 0), repeat=len(increment.products_macs)):
            counted = dict(zip(increment.products_macs, times, strict=True))
            macs = increment.convolutions_macs - increment.classifier_macs * cut
            macs += sum(increment.products_macs[part] * n for part, n in counted.items())
            deviations = sum(n != 1 for n in times) + cut
            words = f"MACs{_in_words(counted)}{out}"
            yield Candidate(macs / GIGA, f"{words}, {size}", deviations)
            if increment.bilinear_flops:
                resized = f"{words}, {BILINEAR} per element of a bilinear resizing, {size}"
                yield Candidate((macs + increment.bilinear_flops) / GIGA, resized, deviations + 1)


def _in_words(counted: Mapping[str, int]) -> str:
    how = {2: "twice", 0: "not at all"}
    return "".join(f", matrix products of {part} {how[n]}" for part, n in counted.items() if n != 1)


@dataclass(frozen=True)
class Decode:
    """A printed increment held against every way to count it that is tried."""

    printed: str
    tried: tuple[Candidate, ...]

    @cached_property
    def fits(self) -> list[Match]:
        """The ways that print as the paper does, the plainest first; those of one value are one."""
        return fits(self._sources, [self._quantity], PRINTINGS)

    @property
    def ways_fitting(self) -> int:
        """How many ways print as the paper does, those with one value and all."""
        return sum(1 + fit.candidates[0].n_equivalent for fit in self.fits)

    @cached_property
    def best(self) -> Match:
        """The plainest way that prints as the paper does, or else the one that comes nearest."""
        return (self.fits or near_misses(self._sources, [self._quantity], PRINTINGS))[0]

    @property
    def verdict(self) -> str:
        """Whether some way prints as the paper does."""
        return REPRODUCED if self.fits else NOT_REPRODUCIBLE

    def __str__(self) -> str:
        tried = f"of {len(self.tried)} ways tried"
        best = self.best.candidates[0]
        if self.fits:
            return f"{best.words}; {self.ways_fitting} {tried}"
        return f"none {tried}; nearest {best.value:.2f} G ({self._quantity.off(best.value)}): {best.words}"

    @property
    def _quantity(self) -> Quantity:
        return Quantity.parse(f"{self.printed}G")

    @property
    def _sources(self) -> list[Source]:
        ordered = sorted(self.tried, key=lambda way: (way.deviations, not way.is_leaf_rule))
        return [Source((Candidates.of(ordered).distinct(),))]


def decode(printed: str, increments: Mapping[int, Increment]) -> Decode:
    """Hold a printed number against every way to count an increment at the sides tried."""
    return Decode(printed, tuple(way for each in increments.values() for way in ways_to_count(each)))


class _OnFeatures(nn.Module):
    """A head on empty features of the size that an image has on the backbone."""

    def __init__(self, head: nn.Module, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.head = head
        self.channels = channels

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) to the head's logits, (N, K, h, w) at a stride of its own."""
        sides = ([-(-side // stride) for side in image.shape[2:]] for stride in STRIDES)
        features = [
            image.new_empty(len(image), c, *s)  # (N, c, ⌈H/stride⌉, ⌈W/stride⌉)
            for c, s in zip(self.channels, sides, strict=True)
        ]
        logits: Tensor = self.head(features)
        return logits


class _Last(nn.Module):
    """A backbone whose last feature is its output."""

    def __init__(self, backbone: ResNet) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) to C5, (N, 2048, ⌈H/8⌉, ⌈W/8⌉)."""
        c5: Tensor = self.backbone(image)[-1]
        return c5


def _head(model: str, side: int, *, published: bool) -> nn.Module:
    channels = body(TABLE9_BACKBONE).channels
    size = (feature_size(side),) * 2
    with in_published_form() if published else nullcontext():
        head = head_class(model)(channels, VOC_CLASSES, size=size)
    return _OnFeatures(head, channels)


@cache
def increments(model: str) -> Mapping[int, Increment]:
    """Count a model's head at the sides that Table 9 is held against."""
    return {side: _increment(model, side) for side in TABLE9_SIDES}


def _increment(model: str, side: int) -> Increment:
    shape = (1, 3, side, side)
    build = partial(_head, model, side, published=True)
    recorded = trace(build, shape)
    leaves = leaf_rule.count(build, shape)["leaves"]
    working = [op for op in recorded.ops if op.macs]
    classifier = working[-1]  # every head ends with it
    products_macs: dict[str, int] = {}
    for op in working:
        if "convolution" not in op.name:
            part = op.module.split(".")[1]  # of head.PART.…, since _OnFeatures holds the head
            products_macs[part] = products_macs.get(part, 0) + op.macs
    resized = [op for op in recorded.ops if "upsample_bilinear" in op.name]
    return Increment(
        side=side,
        convolutions_macs=sum(op.macs for op in working if "convolution" in op.name),
        classifier_macs=classifier.macs,
        products_macs=products_macs,
        bilinear_flops=BILINEAR * sum(prod(op.outputs[0]) for op in resized),
        rule_flops=sum(flops for flops, _ in leaves.values()),
        rule_classifier_flops=leaves[classifier.module][0],
        fast_macs=views.macs(trace(partial(_head, model, side, published=False), shape)),
    )


@cache
def backbone_alone() -> Mapping[int, Increment]:
    """Count the backbone alone at the same sides."""
    return {side: _backbone(side) for side in TABLE9_SIDES}


def _backbone(side: int) -> Increment:
    shape = (1, 3, side, side)

    def build() -> nn.Module:
        return _Last(BACKBONES[TABLE9_BACKBONE](stem="deep"))

    macs = views.macs(trace(build, shape))
    rule_flops = sum(flops for flops, _ in leaf_rule.count(build, shape)["leaves"].values())
    return Increment(
        side=side,
        convolutions_macs=macs,  # it has no other products, and no classifier
        classifier_macs=0,
        products_macs={},
        bilinear_flops=0,
        rule_flops=rule_flops,
        rule_classifier_flops=0,
        fast_macs=macs,
    )
