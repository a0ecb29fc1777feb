"""The map is weighed frequency by frequency."""

from ctxbench_modules.catalogue.spec import Spec

FREQUENCY = (
    Spec(
        name="gfnet",
        title="Global filter",
        target="ctxbench_modules.gfnet:GlobalFilter",
        paper="Rao et al., Global Filter Networks for Image Classification, NeurIPS",
        year=2021,
        url="https://arxiv.org/abs/2107.00645",
        complexity="",
        cite="rao2021global",
        forms=("single",),
        licence="MIT",
    ),
)
