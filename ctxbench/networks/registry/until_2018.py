"""Networks of 2015 to 2018."""

from ctxbench.networks.registry.spec import FORM, Network

ENTRIES = (
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
        "psanet",
        "PSANet",
        "rivals.one_block:PSANet",
        "Zhao et al., PSANet: Point-wise Spatial Attention Network for Scene Parsing, ECCV",
        2018,
        "https://hszhao.github.io/papers/eccv18_psanet.pdf",
        aliases=("PSAHead",),
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
)
