"""Pools, neighbourhoods and gates: context from where things are, without all pairs."""

from ctxbench_modules.catalogue.spec import Spec

SPATIAL = (
    Spec(
        name="ppm",
        title="PPM",
        target="ctxbench_modules.pspnet:PPM",
        paper="Zhao et al., Pyramid Scene Parsing Network, CVPR",
        year=2017,
        url="https://arxiv.org/abs/1612.01105",
        complexity="O(CHW)",
        cite="zhao2017pspnet",
        forms=("single",),
        licence="MIT",
    ),
    Spec(
        name="aspp",
        title="ASPP",
        target="ctxbench_modules.deeplab:ASPP",
        paper="Chen et al., Rethinking Atrous Convolution for Semantic Image Segmentation, arXiv",
        year=2017,
        url="https://arxiv.org/abs/1706.05587",
        complexity="O(C²HW)",
        cite="chen2017rethinking",
        forms=("single",),
        licence="Apache-2.0",
    ),
    Spec(
        name="apcnet",
        title="APCNet ACM ×4",
        target="ctxbench_modules.apcnet:ACMPyramid",
        paper="He et al., Adaptive Pyramid Context Network for Semantic Segmentation, CVPR",
        year=2019,
        url="https://openaccess.thecvf.com/content_CVPR_2019/html/He_Adaptive_Pyramid_Context_Network_for_Semantic_Segmentation_CVPR_2019_paper.html",
        complexity="O(C²HW)",
        cite="he2019apcnet",
        licence="Apache-2.0",
    ),
    Spec(
        name="cbam",
        title="CBAM",
        target="ctxbench_modules.cbam:CBAM",
        paper="Woo et al., CBAM: Convolutional Block Attention Module, ECCV",
        year=2018,
        url="https://arxiv.org/abs/1807.06521",
        complexity="O(CHW)",
        cite="woo2018cbam",
        forms=("single",),
        licence="MIT",
    ),
)
