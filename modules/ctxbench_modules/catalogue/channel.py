"""Channels are weighed by what the map holds of them, or attend to each other."""

from ctxbench_modules.catalogue.spec import Spec

CHANNEL = (
    Spec(
        name="se",
        title="SE",
        target="ctxbench_modules.senet:SE",
        paper="Hu et al., Squeeze-and-Excitation Networks, CVPR",
        year=2018,
        url="https://arxiv.org/abs/1709.01507",
        complexity="O(CHW)",
        cite="hu2018senet",
        forms=("single",),
        licence="MIT",
    ),
    Spec(
        name="eca",
        title="ECA",
        target="ctxbench_modules.ecanet:ECA",
        paper="Wang et al., ECA-Net: Efficient Channel Attention for Deep Convolutional Neural Networks, "
        "CVPR",
        year=2020,
        url="https://arxiv.org/abs/1910.03151",
        complexity="O(CHW)",
        cite="wang2020eca",
        forms=("single",),
        licence="MIT",
    ),
    Spec(
        name="gct",
        title="GCT",
        target="ctxbench_modules.gct:GCT",
        paper="Yang et al., Gated Channel Transformation for Visual Recognition, CVPR",
        year=2020,
        url="https://arxiv.org/abs/1909.11519",
        complexity="O(CHW)",
        cite="yang2020gated",
        forms=("single",),
    ),
    Spec(
        name="cam",
        title="CAM",
        target="ctxbench_modules.danet:CAM",
        paper="Fu et al., Dual Attention Network for Scene Segmentation, CVPR",
        year=2019,
        url="https://arxiv.org/abs/1809.02983",
        complexity="O(C²HW)",
        cite="fu2019danet",
        licence="MIT",
    ),
)
