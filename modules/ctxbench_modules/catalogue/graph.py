"""Positions are gathered into nodes, and the nodes pass messages."""

from ctxbench_modules.catalogue.spec import Spec

GRAPH = (
    Spec(
        name="latentgnn",
        title="LatentGNN",
        target="ctxbench_modules.latentgnn:LatentGNN",
        paper="Zhang et al., LatentGNN: Learning Efficient Non-local Relations for Visual Recognition, ICML",
        year=2019,
        url="https://arxiv.org/abs/1905.11634",
        complexity="O(CHWd)",
        cite="zhang2019latentgnn",
        licence="MIT",
        aliases=("LatentGNNV1",),
    ),
    Spec(
        name="glore",
        title="GloRe",
        target="ctxbench_modules.glore:GloRe",
        paper="Chen et al., Graph-Based Global Reasoning Networks, CVPR",
        year=2019,
        url="https://arxiv.org/abs/1811.12814",
        complexity="",
        cite="chen2019glore",
        licence="MIT",
        aliases=("GloRe_Unit",),
    ),
)
