"""How the paper trains on each data set (sections 4.1 and 4.2), and the scores that it prints for it.

One setting is not in the paper: ``head_lr_factor`` = 10, the learning rate of all new layers as a multiple of
the backbone's. The paper's schedule (epochs and rates by data set, batch 16, weight decay 1e-4, auxiliary
weight 0.2) stands line by line in the training script of PyTorch-Encoding, the code base whose module the
released ``reconet.py`` is, and there new layers learn ten times as fast. At a factor of 1 the rates would be
another schedule's.
"""

from typing import Any

from ctxbench.paper.printed import rows
from ctxbench.train.presets import Preset

FORWARD_GMACS = 236.1
"""RecoNet with the deep ResNet-101 and its auxiliary head, 21 classes, a crop of 512×512: counted."""
HEAD_LR_FACTOR = 10.0
"""Not in the paper: see above."""
WEIGHTS = "--weights resnet101.pth"


def _preset(
    name: str, images: int, epochs: int, lr: float, expected: str, options: str, **more: Any
) -> Preset:
    """ResNet-101, crops of 512×512, batch 16; ``images`` counts the training set's."""
    crops = images * epochs
    flops = 6e9 * FORWARD_GMACS * crops
    return Preset(
        name,
        {
            "dataset": name,
            "backbone": "resnet101",
            "epochs": epochs,
            "lr": lr,
            "head_lr_factor": HEAD_LR_FACTOR,
            "evaluate_every": 10 * images // 16,
            "checkpoint_every": 500,
            "log_every": 10,
            **more,
        },
        f"the RecoNet paper, section 4.1: {epochs} epochs at {lr:g}; new layers at ten times that, which is "
        "not in the paper but in the code base that its module was released for",
        expected,
        f"{crops:,} crops, {flops:.1e} FLOPs (3 × the forward pass, {FORWARD_GMACS} GMACs by count); "
        "time not measured",
        f"ctxbench train --dataset {name} --root {name.upper()} {options} --set workers=8 --out runs/{name}",
    )


def _printed(table: int, column: str = "miou") -> str:
    """RecoNet's printed score, in percent; that of ResNet-101 where there are several."""
    if table == 1:
        return next(row["RecoNet"] for row in rows(1) if row["class"] == "mIoU")
    reconets = (row for row in rows(table) if row["method"] == "RecoNet")
    return next(row[column] for row in reconets if row.get("backbone") in (None, "ResNet-101"))


PRESETS = {
    preset.name: preset
    for preset in (
        _preset(
            "coco", 118_287, 30, 0.004, "no score in the paper: stage 1 of 3 for VOC12 with COCO", WEIGHTS
        ),
        _preset(
            "voc12aug", 10_582, 80, 0.001,
            f"{_printed(1)} % mIoU on VOC12 test (Table 1), {_printed(9, 'miou_ms_flip')} % on val "
            "(Table 9), multi-scale and flip; with --init runs/coco, stage 2 of 3",
            WEIGHTS,
        ),
        _preset(
            "voc12", 2_913, 50, 1e-5,
            f"{_printed(2)} % mIoU on VOC12 test after COCO and voc12aug (Table 2), which VOC's server "
            "scores; a score on val says nothing, since val is trained on",
            "--init runs/voc12aug",
            train_split="trainval",
        ),
        _preset(
            "pascal_context", 4_998, 80, 0.001,
            "no score in the paper: a mean over 60 predicted classes is not Table 3's, which is most likely "
            "59 classes × 59/60",
            WEIGHTS,
        ),
        _preset(
            "pascal_context59", 4_998, 80, 0.001,
            f"{_printed(3)} % mIoU, 59 classes × 59/60 (Table 3, which says 60 classes)", WEIGHTS,
        ),
        _preset("coco_stuff", 9_000, 180, 0.001, f"{_printed(4)} % mIoU (Table 4)", WEIGHTS),
        _preset("ade20k", 20_210, 120, 0.01, f"{_printed(6)} % mIoU on val (Table 6)", WEIGHTS),
        _preset(
            "sift_flow", 2_488, 80, 0.0025,
            f"{_printed(5)} % mIoU, {_printed(5, 'pixel_acc')} % pixel accuracy (Table 5, which names no "
            "backbone)",
            WEIGHTS,
        ),
    )
}  # fmt: skip
"""By data set. The printed scores are with multi-scale and flip: ``ctxbench eval`` has them as options."""
