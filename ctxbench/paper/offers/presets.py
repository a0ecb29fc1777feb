"""The configurations behind the rows of Table 10 (RecoNet, ECCV 2020), as a preset.

The paper does not say how the other authors' blocks were configured. These options are those under which the
leaf rule (:mod:`ctxbench.counters.leaf_rule`) gives the printed digits; :data:`NOTES` says where that took
more than a configuration.
"""

from typing import Any

from ctxbench.subject.presets import Preset, Row

TABLE10 = Preset(
    "table10",
    "the eight modules of the RecoNet paper's Table 10, as configured there",
    (
        Row("reconet", lambda channels: {"rank": 64}),
        Row("nonlocal", lambda channels: {"norm": False}),
        Row("apcnet", lambda channels: {"width": channels, "fusion": False, "bottleneck": False}),
        Row("rcca", lambda channels: {"recurrence": 2}),
        Row(
            "a2net",
            lambda channels: {
                "mid_channels": channels,
                "attention_channels": channels // 2,
                "reconstruct": False,
                "residual": False,
            },
        ),
        Row(
            "afnb",
            lambda channels: {
                "key_channels": channels // 2,
                "value_channels": channels // 2,
                "norm": False,
                "fuse": False,
            },
        ),
        Row(
            "latentgnn",
            lambda channels: {"latent_dims": (100,), "stride": 1, "symmetric": True},
            rule_options={"latent_dims": (50, 50), "merge": "sum"},
        ),
        Row("emau", lambda channels: {"bases": 64, "iterations": 3}),
    ),
)
PRESETS = (TABLE10,)
"""What the paper puts on the shelf."""


def configurations(channels: int) -> dict[str, dict[str, Any]]:
    """The options of each module in Table 10, for an input of so many channels; the table itself has 512."""
    return {row.module: dict(row.options(channels)) for row in TABLE10.rows}


NOTES = {
    "a2net": "The printed memory needs a leaf that holds the global descriptors (0.5 MiB): here an identity. "
    "Without it, 24.50 MiB.",
    "latentgnn": "The printed digits fit two kernels of 50 nodes that share one product leaf, not the one "
    "kernel of 100 whose memory they also fit.",
}
"""How printed digits were decoded where the configuration alone does not say, by module."""
