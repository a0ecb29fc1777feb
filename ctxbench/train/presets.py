"""How the paper trains on each data set (sections 4.1 and 4.2), and the settings of the generated one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ctxbench.errors import UserError
from ctxbench.paper.printed import rows
from ctxbench.train.config import TrainConfig, configure

FORWARD_GMACS = 236.1
"""RecoNet with the deep ResNet-101 and its auxiliary head, 21 classes, a crop of 512×512: counted."""


@dataclass(frozen=True)
class Preset:
    """Settings under the name of their data set, and what to expect of them."""

    name: str
    settings: Mapping[str, Any]
    source: str
    """Where they are from."""
    expected: str
    """The score, and whose it is."""
    cost: str
    """What it takes, and how that is known."""
    command: str

    @property
    def config(self) -> TrainConfig:
        """The settings, with the defaults of all others."""
        return configure(self.settings)

    def __str__(self) -> str:
        return f"{self.name}: {self.source}\n  expect {self.expected}\n  cost {self.cost}\n  {self.command}"


def _paper(
    name: str, images: int, epochs: int, lr: float, expected: str, options: str, **more: Any
) -> Preset:
    """One of the paper's: ResNet-101, crops of 512×512, batch 16; ``images`` counts its training set's."""
    crops = images * epochs
    flops = 6e9 * FORWARD_GMACS * crops
    return Preset(
        name,
        {
            "dataset": name,
            "backbone": "resnet101",
            "epochs": epochs,
            "lr": lr,
            "evaluate_every": 10 * images // 16,
            "checkpoint_every": 500,
            "log_every": 10,
            **more,
        },
        f"section 4.1, {epochs} epochs at {lr:g}",
        expected,
        f"{crops:,} crops, {flops:.1e} FLOPs (3 × the forward pass, {FORWARD_GMACS} GMACs by count); "
        "time not measured",
        f"ctxbench train --dataset {name} --root {name.upper()} {options} --set workers=8 --out runs/{name}",
    )


def _printed(table: int, column: str = "miou") -> str:
    """RecoNet's printed score, in percent; that of ResNet-101 where there are several."""
    if table == 1:
        return next(row["RecoNet"] for row in rows(1) if row["class"] == "mIoU")
    ours = (row for row in rows(table) if row["method"] == "RecoNet")
    return next(row[column] for row in ours if row.get("backbone") in (None, "ResNet-101"))


WEIGHTS = "--weights resnet101.pth"
PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            "synthetic",
            {
                "dataset": "synthetic",
                "backbone": "resnet-tiny",
                "channels": 64,
                "crop": 128,
                "scale": (1.0, 1.0),
                "iterations": 300,
                "batch": 16,
                "optimizer": "adamw",
                "lr": 0.005,
                "evaluate_every": 50,
                "checkpoint_every": 50,
                "baseline": True,
            },
            "ours: a generated set whose classes only far context tells apart",
            "90.2 % mIoU, and 20.2 % without context module and GPM (measured once, seed 0); GPM alone does "
            "as well as a context module, for one colour in the image is all that it must carry",
            "3.6 minutes for both networks, evaluations included (measured once, 2-core CPU)",
            "ctxbench train",
        ),
        _paper(
            "coco", 118_287, 30, 0.004, "no score in the paper: stage 1 of 3 for VOC12 with COCO", WEIGHTS
        ),
        _paper(
            "voc12aug", 10_582, 80, 0.001,
            f"{_printed(1)} % mIoU on VOC12 test (Table 1), {_printed(9, 'miou_ms_flip')} % on val "
            "(Table 9), multi-scale and flip; with --init runs/coco, stage 2 of 3",
            WEIGHTS,
        ),
        _paper(
            "voc12", 2_913, 50, 1e-5,
            f"{_printed(2)} % mIoU on VOC12 test after COCO and voc12aug (Table 2), which VOC's server "
            "scores; a score on val says nothing, since val is trained on",
            "--init runs/voc12aug",
            train_split="trainval",
        ),
        _paper("pascal_context", 4_998, 80, 0.001, f"{_printed(3)} % mIoU of 60 classes (Table 3)", WEIGHTS),
        _paper("coco_stuff", 9_000, 180, 0.001, f"{_printed(4)} % mIoU (Table 4)", WEIGHTS),
        _paper("ade20k", 20_210, 120, 0.01, f"{_printed(6)} % mIoU on val (Table 6)", WEIGHTS),
        _paper(
            "sift_flow", 2_488, 80, 0.0025,
            f"{_printed(5)} % mIoU, {_printed(5, 'pixel_acc')} % pixel accuracy (Table 5, which names no "
            "backbone)",
            WEIGHTS,
        ),
    )
}  # fmt: skip
"""By data set. The paper's scores are with multi-scale and flip: ``ctxbench eval`` has them as options."""


def configured(*layers: Mapping[str, Any], preset: str | None = None) -> TrainConfig:
    """The configuration of layers of settings over ``preset``'s, by default that of the data set they name.

    Later layers are first in right; no data set named is the generated one. Raises UserError for a preset or
    a setting that is unknown.
    """
    if preset is not None and preset not in PRESETS:
        raise UserError(f"there is no preset {preset!r}; there are {', '.join(PRESETS)}")
    named = next((layer["dataset"] for layer in reversed(layers) if "dataset" in layer), "synthetic")
    base = PRESETS.get(preset or named)
    return configure(base.settings if base else {}, *layers)
