"""The all-pairs map through few factors, bases or words."""

from ctxbench_modules.catalogue.spec import Spec

FACTORISED = (
    Spec(
        name="reconet",
        title="TGM+TRM",
        target="ctxbench_modules.reconet:TGMTRM",
        paper="Chen et al., Tensor Low-Rank Reconstruction for Semantic Segmentation, ECCV",
        year=2020,
        url="https://arxiv.org/abs/2008.00490",
        complexity="O(rCHW)",
        cite="chen2020tensor",
    ),
    Spec(
        name="a2net",
        title="A²Net",
        target="ctxbench_modules.a2net:DoubleAttention",
        paper="Chen et al., A²-Nets: Double Attention Networks, NeurIPS",
        year=2018,
        url="https://arxiv.org/abs/1810.11579",
        complexity="O(C²HW)",
        cite="chen2018a2nets",
    ),
    Spec(
        name="emau",
        title="EMAUnit",
        target="ctxbench_modules.emanet:EMAU",
        paper="Li et al., Expectation-Maximization Attention Networks for Semantic Segmentation, ICCV",
        year=2019,
        url="https://arxiv.org/abs/1907.13426",
        complexity="O(CHWk)",
        cite="li2019emanet",
        licence="GPL-3.0",
    ),
    Spec(
        name="cgnl",
        title="CGNL",
        target="ctxbench_modules.cgnl:CGNL",
        paper="Yue et al., Compact Generalized Non-local Network, NeurIPS",
        year=2018,
        url="https://arxiv.org/abs/1810.13125",
        complexity="O(CHW)",
        forms=("single",),
        cite="yue2018cgnl",
        licence="MIT",
    ),
)
