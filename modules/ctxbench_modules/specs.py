"""What is known of each context module without building it.

Imports no torch, and named tuples rather than dataclasses, so that listing stays fast.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

NOTHING: Mapping[str, Any] = MappingProxyType({})


class OfChannels(NamedTuple):
    """An option that follows the input's width: channels // divisor."""

    divisor: int = 1


class PaperRow(NamedTuple):
    """The configuration behind a module's row in Table 10 of the RecoNet paper (ECCV 2020).

    ``options`` build the block the row is about. ``counted`` holds further options, applied only when
    the paper's own convention is run, where the printed digits fit another configuration than the
    published block; ``note`` then says so in words a reader can quote.
    """

    label: str
    options: Mapping[str, Any] = NOTHING
    counted: Mapping[str, Any] = NOTHING
    note: str = ""

    def options_at(self, channels: int) -> dict[str, Any]:
        """The options for an input of that many channels; Table 10 itself has 512."""
        return {
            key: channels // value.divisor if isinstance(value, OfChannels) else value
            for key, value in self.options.items()
        }


class Spec(NamedTuple):
    """A context module as a catalogue entry.

    ``target`` is ``package.module:Class``; ``complexity`` is the order claimed by the paper for one
    forward pass (C channels, n = H·W positions).
    """

    name: str
    title: str
    target: str
    paper: str
    year: int
    url: str
    complexity: str
    table10: PaperRow | None = None


SPECS: dict[str, Spec] = {
    spec.name: spec
    for spec in (
        Spec(
            name="reconet",
            title="TGM+TRM",
            target="ctxbench_modules.reconet:TGMTRM",
            paper="Chen et al., Tensor Low-Rank Reconstruction for Semantic Segmentation, ECCV",
            year=2020,
            url="https://arxiv.org/abs/2008.00490",
            complexity="O(rCHW)",
            table10=PaperRow(label="TGM+TRM", options={"rank": 64}),
        ),
        Spec(
            name="nonlocal",
            title="Non-Local",
            target="ctxbench_modules.non_local:NonLocal",
            paper="Wang et al., Non-local Neural Networks, CVPR",
            year=2018,
            url="https://arxiv.org/abs/1711.07971",
            complexity="O(CH²W²)",
            table10=PaperRow(label="Non-Local", options={"norm": False}),
        ),
        Spec(
            name="apcnet",
            title="APCNet ACM ×4",
            target="ctxbench_modules.apcnet:ACMPyramid",
            paper="He et al., Adaptive Pyramid Context Network for Semantic Segmentation, CVPR",
            year=2019,
            url="https://openaccess.thecvf.com/content_CVPR_2019/html/He_Adaptive_Pyramid_Context_Network_for_Semantic_Segmentation_CVPR_2019_paper.html",
            complexity="O(C²HW)",
            table10=PaperRow(
                label="APCNet", options={"width": OfChannels(), "fusion": False, "bottleneck": False}
            ),
        ),
        Spec(
            name="rcca",
            title="RCCA",
            target="ctxbench_modules.ccnet:RCCA",
            paper="Huang et al., CCNet: Criss-Cross Attention for Semantic Segmentation, ICCV",
            year=2019,
            url="https://arxiv.org/abs/1811.11721",
            complexity="O(CHW(H+W))",
            table10=PaperRow(label="RCCA", options={"recurrence": 2}),
        ),
        Spec(
            name="a2net",
            title="A²Net",
            target="ctxbench_modules.a2net:DoubleAttention",
            paper="Chen et al., A²-Nets: Double Attention Networks, NeurIPS",
            year=2018,
            url="https://arxiv.org/abs/1810.11579",
            complexity="O(C²HW)",
            table10=PaperRow(
                label="A2Net",
                options={
                    "mid_channels": OfChannels(),
                    "attention_channels": OfChannels(2),
                    "reconstruct": False,
                    "residual": False,
                },
                note="The printed memory needs a leaf that holds the global descriptors (0.5 MiB): here an "
                "identity. Without it, 24.50 MiB.",
            ),
        ),
        Spec(
            name="afnb",
            title="AFNB",
            target="ctxbench_modules.ann:AFNB",
            paper="Zhu et al., Asymmetric Non-local Neural Networks for Semantic Segmentation, ICCV",
            year=2019,
            url="https://arxiv.org/abs/1908.07678",
            complexity="O(CHWS)",
            table10=PaperRow(
                label="AFNB",
                options={
                    "key_channels": OfChannels(2),
                    "value_channels": OfChannels(2),
                    "norm": False,
                    "fuse": False,
                },
            ),
        ),
        Spec(
            name="apnb",
            title="APNB",
            target="ctxbench_modules.ann:APNB",
            paper="Zhu et al., Asymmetric Non-local Neural Networks for Semantic Segmentation, ICCV",
            year=2019,
            url="https://arxiv.org/abs/1908.07678",
            complexity="O(CHWS)",
        ),
        Spec(
            name="latentgnn",
            title="LatentGNN",
            target="ctxbench_modules.latentgnn:LatentGNN",
            paper="Zhang et al., LatentGNN: Learning Efficient Non-local Relations for Visual Recognition, "
            "ICML",
            year=2019,
            url="https://arxiv.org/abs/1905.11634",
            complexity="O(CHWd)",
            table10=PaperRow(
                label="LatentGNN",
                options={"latent_dims": (100,), "stride": 1, "symmetric": True},
                counted={"latent_dims": (50, 50), "merge": "sum"},
                note="The printed digits fit two kernels of 50 nodes that share one product leaf, "
                "not the one kernel of 100 whose memory they also fit.",
            ),
        ),
        Spec(
            name="emau",
            title="EMAUnit",
            target="ctxbench_modules.emanet:EMAU",
            paper="Li et al., Expectation-Maximization Attention Networks for Semantic Segmentation, ICCV",
            year=2019,
            url="https://arxiv.org/abs/1907.13426",
            complexity="O(CHWk)",
            table10=PaperRow(label="EMAUnit", options={"bases": 64, "iterations": 3}),
        ),
        Spec(
            name="pam",
            title="PAM",
            target="ctxbench_modules.danet:PAM",
            paper="Fu et al., Dual Attention Network for Scene Segmentation, CVPR",
            year=2019,
            url="https://arxiv.org/abs/1809.02983",
            complexity="O(CH²W²)",
        ),
        Spec(
            name="cam",
            title="CAM",
            target="ctxbench_modules.danet:CAM",
            paper="Fu et al., Dual Attention Network for Scene Segmentation, CVPR",
            year=2019,
            url="https://arxiv.org/abs/1809.02983",
            complexity="O(C²HW)",
        ),
        Spec(
            name="psa",
            title="PSA",
            target="ctxbench_modules.psanet:PSA",
            paper="Zhao et al., PSANet: Point-wise Spatial Attention Network for Scene Parsing, ECCV",
            year=2018,
            url="https://ecva.net/papers/eccv_2018/papers_ECCV/html/Hengshuang_Zhao_PSANet_Point-wise_Spatial_ECCV_2018_paper.php",
            complexity="O(CH²W²)",
        ),
        Spec(
            name="ppm",
            title="PPM",
            target="ctxbench_modules.pspnet:PPM",
            paper="Zhao et al., Pyramid Scene Parsing Network, CVPR",
            year=2017,
            url="https://arxiv.org/abs/1612.01105",
            complexity="O(CHW)",
        ),
        Spec(
            name="aspp",
            title="ASPP",
            target="ctxbench_modules.deeplab:ASPP",
            paper="Chen et al., Rethinking Atrous Convolution for Semantic Image Segmentation, arXiv",
            year=2017,
            url="https://arxiv.org/abs/1706.05587",
            complexity="O(C²HW)",
        ),
        Spec(
            name="se",
            title="SE",
            target="ctxbench_modules.senet:SE",
            paper="Hu et al., Squeeze-and-Excitation Networks, CVPR",
            year=2018,
            url="https://arxiv.org/abs/1709.01507",
            complexity="O(CHW)",
        ),
        Spec(
            name="cbam",
            title="CBAM",
            target="ctxbench_modules.cbam:CBAM",
            paper="Woo et al., CBAM: Convolutional Block Attention Module, ECCV",
            year=2018,
            url="https://arxiv.org/abs/1807.06521",
            complexity="O(CHW)",
        ),
    )
}
