"""The heads that recordings of their authors' code are there of, at the size of those."""

import os
from pathlib import Path
from typing import Any

import torch

from ctxbench.networks.heads import FCNHead
from ctxbench.networks.network import Segmenter, head_class
from ctxbench.networks.registry import NETWORKS
from ctxbench.networks.resnet import ResNet

FIXTURES = Path(os.environ.get("CTXBENCH_FIXTURES", Path(__file__).parents[2] / "shared" / "fixtures"))
WIDTH, CLASSES = 32, 7
CHANNELS = (8, 16, 32, 64)
"""Of C2 to C5 in the recordings: a ResNet's of width 2."""

RECORDED: dict[str, tuple[str, dict[str, Any], int]] = {
    "encnet_head": ("encnet", {"codes": 8}, 8),
    "encnet_head_lateral": ("encnet", {"codes": 8, "lateral": True}, 8),
    "apcnet_head": ("apcnet", {}, 16),
    "cfnet_head": ("cfnet", {"codes": 8, "heads": 4, "se_loss": True}, 8),
    "dmnet_head": ("dmnet", {}, 16),
    "ann_head": ("ann", {"key_channels": 16}, 32),
    "emanet_head": ("emanet", {"align": True, "bases": 8}, 0),
    "gcnet_head": ("gcnet", {}, 16),
    "dnl_head": ("dnlnet", {"whiten": "image"}, 16),
    "isa_head": ("isanet", {"down_factor": (4, 4)}, 32),
    "ocr_head": ("ocrnet", {}, 0),
    "spnet_head": ("spnet", {"channels": 16, "pools": (5, 3)}, 8),
    "hamnet_head": ("hamnet", {"rank": 8}, 0),
    "light_ham_head": ("lighthamnet", {"rank": 8, "groups": 4}, 0),
}
"""The network, the options of its head, and the width of the auxiliary head, 0 for none."""


def small(model: str, options: dict[str, Any], auxiliary: int) -> Segmenter:
    """A network of the recordings' size; its backbone has their channels."""
    torch.manual_seed(0)
    known = NETWORKS[model].auxiliary
    body = ResNet((1, 1, 1, 1), width=2)
    assert body.channels == CHANNELS
    head = head_class(model)(CHANNELS, CLASSES, **{"channels": WIDTH, "size": (12, 10), **options})
    aux = (
        FCNHead(CHANNELS, CLASSES, level=2, channels=auxiliary, bias=known.bias)
        if known and auxiliary
        else None
    )
    return Segmenter(body, head, aux, classes=CLASSES, losses=NETWORKS[model].losses)
