"""Attention within windows, rows or columns, in turns."""

from ctxbench_modules.catalogue.spec import Spec

WINDOW = (
    Spec(
        name="rcca",
        title="RCCA",
        target="ctxbench_modules.ccnet:RCCA",
        paper="Huang et al., CCNet: Criss-Cross Attention for Semantic Segmentation, ICCV",
        year=2019,
        url="https://arxiv.org/abs/1811.11721",
        complexity="O(CHW(H+W))",
        cite="huang2019ccnet",
        licence="MIT",
    ),
    Spec(
        name="isa",
        title="ISA",
        target="ctxbench_modules.isanet:InterlacedSparseAttention",
        paper="Huang et al., Interlaced Sparse Self-Attention for Semantic Segmentation, arXiv",
        year=2019,
        url="https://arxiv.org/abs/1907.12273",
        complexity="",
        cite="huang2019isa",
        licence="MIT",
    ),
)
