"""What is known of a network without building it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Auxiliary:
    """An FCN head on C4, for training alone, as a network's authors have it."""

    share: int = 4
    """The channels of C4 over those after its 3×3."""
    bias: bool = False
    """Whether the 3×3 has one, although a batch norm follows."""
    dropout: float = 0.1
    by_channel: bool = False
    """Whether whole channels are dropped out."""


@dataclass(frozen=True)
class Network:
    """A network as an entry of the registry.

    What is "as published" is as its authors' code trains it, or mmsegmentation where they released none.
    """

    name: str
    title: str
    """As tables print it."""
    head: str
    """``module:Class``, the module below :mod:`ctxbench.networks`."""
    paper: str
    year: int
    url: str
    licence: str = ""
    """Of the released code that the head is held against, not ours; empty where there is none."""
    levels: tuple[str, ...] = ("C5",)
    """The outputs of the backbone that the head reads, as built by default."""
    auxiliary: Auxiliary | None = Auxiliary()
    """None where there is no such head, or the network's own head gives the auxiliary logits."""
    losses: Mapping[str, float] = field(default_factory=dict)
    """The weight of each loss beside that of the main and the auxiliary logits, as published, by the name of
    the head's output that it is of; which function it is, :data:`ctxbench.networks.losses.LOSSES` says."""
    aux_weight: float | None = None
    """Of the auxiliary logits' loss, as published; None: a training's default."""
    head_lr_factor: float | None = None
    """The learning rate of all but the backbone over the backbone's, as published; None: the preset's."""
    undecayed: tuple[str, ...] = ()
    """The modules of the head whose weights do not decay, as published."""
    options: Mapping[str, str] = field(default_factory=dict)
    """What else the head's constructor takes, and what each is, in words."""
    aliases: tuple[str, ...] = ()
    """Other names: of the authors' code, and of the head in mmsegmentation."""


MMSEGMENTATION = Auxiliary(by_channel=True)
"""mmsegmentation's auxiliary head, the same for all networks."""
FORM = {"implementation": "fast (the quickest exact form of its blocks) or published (the authors' order)"}
CVF = "https://openaccess.thecvf.com"
