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
    options: Mapping[str, str] = field(default_factory=dict)
    """What else the head's constructor takes, and what each is, in words."""
    aliases: tuple[str, ...] = ()
    """Other names: of the authors' code, and of the head in mmsegmentation."""


MMSEGMENTATION = Auxiliary(by_channel=True)
"""mmsegmentation's auxiliary head, the same for all networks."""
FORM = {"implementation": "fast (the quickest exact form of its blocks) or published (the authors' order)"}
CVF = "https://openaccess.thecvf.com"

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
        "rivals.one_block:CCNet",
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
        "encnet",
        "EncNet",
        "rivals.encnet:EncNet",
        "Zhang et al., Context Encoding for Semantic Segmentation, CVPR",
        2018,
        "https://arxiv.org/abs/1803.08904",
        licence="MIT",
        losses={"presence": 0.2},
        aux_weight=0.2,
        head_lr_factor=10.0,
        options={
            "lateral": "whether C3 and C4 join C5, as published for VOC and PASCAL-Context",
            "codes": "codewords, 32",
            **FORM,
        },
        aliases=("EncHead",),
    ),
    Network(
        "apcnet",
        "APCNet",
        "rivals.pyramids:APCNet",
        "He et al., Adaptive Pyramid Context Network for Semantic Segmentation, CVPR",
        2019,
        f"{CVF}/content_CVPR_2019/html/"
        "He_Adaptive_Pyramid_Context_Network_for_Semantic_Segmentation_CVPR_2019_paper.html",
        licence="Apache-2.0",
        auxiliary=MMSEGMENTATION,
        aux_weight=0.4,
        head_lr_factor=1.0,
        options={
            "scales": "sub-regions along each axis, 1, 2, 3, 6",
            "fusion": "whether a 1×1 ends each module, true",
            **FORM,
        },
        aliases=("APCHead",),
    ),
    Network(
        "cfnet",
        "CFNet",
        "rivals.cfnet:CFNet",
        "Zhang et al., Co-Occurrent Features in Semantic Segmentation, CVPR",
        2019,
        f"{CVF}/content_CVPR_2019/html/"
        "Zhang_Co-Occurrent_Features_in_Semantic_Segmentation_CVPR_2019_paper.html",
        licence="MIT",
        losses={"presence": 0.2},
        aux_weight=0.2,
        head_lr_factor=10.0,
        options={
            "lateral": "whether C3 and C4 join C5, false",
            "heads": "of the attention, 8",
            "mixtures": "soft-maxes that are mixed, 1",
            "with_enc": "whether context encoding follows, true",
            "codes": "its codewords, 32",
            "se_loss": "whether it has a loss of which classes there are, false",
            **FORM,
        },
        aliases=("ATTEN",),
    ),
    Network(
        "dmnet",
        "DMNet",
        "rivals.pyramids:DMNet",
        "He et al., Dynamic Multi-Scale Filters for Semantic Segmentation, ICCV",
        2019,
        f"{CVF}/content_ICCV_2019/html/"
        "He_Dynamic_Multi-Scale_Filters_for_Semantic_Segmentation_ICCV_2019_paper.html",
        licence="Apache-2.0",
        auxiliary=MMSEGMENTATION,
        aux_weight=0.4,
        head_lr_factor=1.0,
        options={
            "filters": "sides of the filters, 1, 3, 5, 7",
            "fusion": "whether a 1×1 ends each module, false",
        },
        aliases=("DMHead",),
    ),
    Network(
        "ann",
        "ANN",
        "rivals.ann:ANN",
        "Zhu et al., Asymmetric Non-local Neural Networks for Semantic Segmentation, ICCV",
        2019,
        "https://arxiv.org/abs/1908.07678",
        licence="Apache-2.0",
        levels=("C4", "C5"),
        auxiliary=Auxiliary(share=2, bias=True, dropout=0.05, by_channel=True),
        aux_weight=0.4,
        head_lr_factor=1.0,
        options={
            "key_channels": "of queries, keys and values, an eighth of C5's and half of the head's",
            "pools": "grids that keys and values are averaged on, 1, 3, 6, 8",
            **FORM,
        },
        aliases=("ANNN", "ANNHead", "asymmetric"),
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
