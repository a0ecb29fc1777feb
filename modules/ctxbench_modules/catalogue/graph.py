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
    ),
)
