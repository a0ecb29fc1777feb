"""The networks: what is known of each without building it, and where its head is. Imports no torch.

To add a network: its head in a file of :mod:`ctxbench.networks.rivals`, and its entry here. The command
line's help and completion, the training's settings and the tables follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from ctxbench.errors import UserError


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
    """The outputs of the backbone that the head reads."""
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


_ENTRIES = (
    Network(
        "reconet",
        "RecoNet",
        "heads:ContextHead",
        "Chen et al., Tensor Low-Rank Reconstruction for Semantic Segmentation, ECCV",
        2020,
        "https://arxiv.org/abs/2008.00490",
    ),
    Network(
        "fcn",
        "FCN",
        "heads:FCNHead",
        "Long et al., Fully Convolutional Networks for Semantic Segmentation, CVPR",
        2015,
        "https://arxiv.org/abs/1411.4038",
        aliases=("FCNHead",),
    ),
    Network(
        "pspnet",
        "PSPNet",
        "rivals.one_block:PSPNet",
        "Zhao et al., Pyramid Scene Parsing Network, CVPR",
        2017,
        "https://arxiv.org/abs/1612.01105",
        aliases=("PSP", "PSPHead"),
    ),
    Network(
        "deeplabv3plus",
        "DeepLabV3+",
        "rivals.one_block:DeepLabV3Plus",
        "Chen et al., Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation, "
        "ECCV",
        2018,
        "https://arxiv.org/abs/1802.02611",
        levels=("C2", "C5"),
        aliases=("deeplab",),
    ),
    Network(
        "danet",
        "DANet",
        "rivals.one_block:DANet",
        "Fu et al., Dual Attention Network for Scene Segmentation, CVPR",
        2019,
        "https://arxiv.org/abs/1809.02983",
        aliases=("DAHead",),
    ),
    Network(
        "psanet",
        "PSANet",
        "rivals.one_block:PSANet",
        "Zhao et al., PSANet: Point-wise Spatial Attention Network for Scene Parsing, ECCV",
        2018,
        "https://hszhao.github.io/papers/eccv18_psanet.pdf",
        aliases=("PSAHead",),
    ),
    Network(
        "ccnet",
        "CCNet",
        "rivals.framed:CCNet",
        "Huang et al., CCNet: Criss-Cross Attention for Semantic Segmentation, ICCV",
        2019,
        "https://arxiv.org/abs/1811.11721",
        aliases=("CCHead",),
    ),
    Network(
        "emanet",
        "EMANet",
        "rivals.one_block:EMANet",
        "Li et al., Expectation-Maximization Attention Networks for Semantic Segmentation, ICCV",
        2019,
        "https://arxiv.org/abs/1907.13426",
        aliases=("EMAHead",),
    ),
    Network(
        "gcnet",
        "GCNet",
        "rivals.framed:GCNet",
        "Cao et al., GCNet: Non-Local Networks Meet Squeeze-Excitation Networks and Beyond, ICCVW",
        2019,
        "https://arxiv.org/abs/1904.11492",
        licence="Apache-2.0",
        auxiliary=Auxiliary(share=2, by_channel=True),
        aux_weight=0.4,
        head_lr_factor=1.0,
        options={
            "reduction": "of the bottleneck's channels",
            "pooling": "attention or average",
            "fusion": "add, multiply or both",
        },
        aliases=("GCHead", "GCBModule"),
    ),
    Network(
        "dnlnet",
        "DNLNet",
        "rivals.framed:DNLNet",
        "Yin et al., Disentangled Non-Local Neural Networks, ECCV",
        2020,
        "https://arxiv.org/abs/2006.06668",
        licence="Apache-2.0",
        auxiliary=Auxiliary(share=2, by_channel=True),
        aux_weight=0.4,
        head_lr_factor=1.0,
        undecayed=("context.1.query", "context.1.key"),
        options={
            "whiten": "what is taken off queries and keys: the mean of each channel, or one of the image",
            "temperature": "of the pairwise term",
            "scale": "whether its logits are divided by the square root of the keys' channels",
            "width": "the keys' channels",
            "unary": "whether there is the unary term",
            "project": "whether a convolution follows both terms",
            "norm": "whether a batch norm does",
            "gate": "whether the pairwise term has a gate that starts at zero",
        },
        aliases=("DNL", "DNLHead", "NLModule_nowd"),
    ),
    Network(
        "isanet",
        "ISANet",
        "rivals.isanet:ISANet",
        "Huang et al., Interlaced Sparse Self-Attention for Semantic Segmentation, arXiv",
        2019,
        "https://arxiv.org/abs/1907.12273",
        licence="MIT",
        auxiliary=Auxiliary(share=2, dropout=0.05, by_channel=True),
        aux_weight=0.4,
        head_lr_factor=1.0,
        options={
            "down_factor": "rows and columns of a short-range group",
            "key_channels": "of queries and keys",
        },
        aliases=("ISA", "ISAHead"),
    ),
    Network(
        "ocrnet",
        "OCRNet",
        "rivals.ocrnet:OCRNet",
        "Yuan et al., Object-Contextual Representations for Semantic Segmentation, ECCV",
        2020,
        "https://arxiv.org/abs/1909.11065",
        licence="MIT",
        levels=("C4", "C5"),
        auxiliary=None,
        aux_weight=0.4,
        head_lr_factor=1.0,
        options={
            "region_channels": "after the 3×3 of the regions' head",
            "key_channels": "of queries and keys",
        },
        aliases=("OCR", "OCRHead", "SpatialOCRNet"),
    ),
    Network(
        "spnet",
        "SPNet",
        "rivals.spnet:SPNet",
        "Hou et al., Strip Pooling: Rethinking Spatial Pooling for Scene Parsing, CVPR",
        2020,
        "https://arxiv.org/abs/2003.13328",
        licence="MIT",
        auxiliary=Auxiliary(by_channel=True),
        aux_weight=0.4,
        head_lr_factor=10.0,
        options={"pools": "the sides of the two grids"},
        aliases=("SPHead",),
    ),
    Network(
        "hamnet",
        "HamNet",
        "rivals.hamnet:HamNet",
        "Geng et al., Is Attention Better Than Matrix Decomposition?, ICLR",
        2021,
        "https://arxiv.org/abs/2109.04553",
        licence="GPL-3.0",
        auxiliary=None,
        head_lr_factor=1.0,
        options={
            "rank": "the bases of the decomposition",
            "steps": "its updates",
            "decomposition": "nmf, vq or cd",
            "cheese": "whether a second convolution follows it",
        },
        aliases=("HamburgerNet",),
    ),
    Network(
        "lighthamnet",
        "Light-HamNet",
        "rivals.hamnet:LightHamNet",
        "Geng et al., Is Attention Better Than Matrix Decomposition?, ICLR",
        2021,
        "https://arxiv.org/abs/2109.04553",
        licence="Apache-2.0",
        levels=("C3", "C4", "C5"),
        auxiliary=None,
        head_lr_factor=10.0,
        options={
            "groups": "of the group norms",
            "rank": "the bases of the decomposition",
            "steps": "its updates in training",
            "eval_steps": "its updates in evaluation",
        },
        aliases=("LightHam", "LightHamHead"),
    ),
)
NETWORKS: dict[str, Network] = {network.name: network for network in _ENTRIES}
"""By name, in the order in which they are listed."""


def find(name: str) -> Network:
    """The network of a name, of an alias, or of its title, whatever the case.

    Raises UserError, with all names and the nearest ones, where there is none.
    """
    known = {
        _plain(word): network
        for network in NETWORKS.values()
        for word in (network.name, network.title, *network.aliases)
    }
    if found := known.get(_plain(name)):
        return found
    close = get_close_matches(_plain(name), known, n=3, cutoff=0.6)
    near = list(dict.fromkeys(known[word].name for word in close))
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    raise UserError(f"no model {name!r}; one of {', '.join(NETWORKS)}{hint}")


def completed(incomplete: str) -> list[str]:
    """What a shell may complete a network's name to; in a comma list, its last."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in NETWORKS if name.startswith(last)]


def _plain(word: str) -> str:
    """A name in small letters and digits alone: DeepLabV3+ is deeplabv3plus."""
    return "".join(filter(str.isalnum, word.lower().replace("+", "plus")))
