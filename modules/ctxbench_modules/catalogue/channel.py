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
