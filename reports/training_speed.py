"""What the training options give on this machine, and whether data and evaluation keep up with the network.

    python reports/training_speed.py SIFT_FLOW_ROOT [FOLDER]

Everything is RecoNet on a ResNet-50 and the images of SIFT-Flow, random weights, on the CPU; each comparison
is of medians over rounds that take its parties in turn. Writes README.md to FOLDER (default
``reports/cpu/training-speed``).
"""

import sys
import time
from collections.abc import Callable, Mapping
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any

import torch

from ctxbench.data.augment import Augment, normalise
from ctxbench.data.dataset import Subset
from ctxbench.data.loader import train_loader
from ctxbench.evaluate.loop import evaluate
from ctxbench.files import write_text
from ctxbench.measure.environment import environment
from ctxbench.train.job import Job
from ctxbench.train.launch.engine import device_of, fabric_of, precision_of
from ctxbench.train.presets import configured
from ctxbench.train.step import Stepper

CROP, BATCH, ROUNDS, IMAGES = 193, 2, 5, 12
OPTIONS: dict[str, dict[str, Any]] = {
    "float32": {},
    "float32, channels-last": {"channels_last": True},
    "bf16-mixed": {"precision": "bf16-mixed"},
    "bf16-mixed, channels-last": {"precision": "bf16-mixed", "channels_last": True},
    "float32, --compile": {"compile": True},
}


def job(root: Path, **settings: Any) -> Job:
    """RecoNet-50 on SIFT-Flow, at a size that a CPU can step in about a second."""
    own = {"dataset": "sift_flow", "root": str(root), "backbone": "resnet50", "crop": CROP, "batch": BATCH}
    return Job.prepare(configured(own, {"device": "cpu", **settings}))


def stepper(root: Path, folder: Path, **settings: Any) -> Callable[[], object]:
    """One step of training after the other, on one batch, so that no data is waited for."""
    task = job(root, **settings)
    precision = precision_of(task.config, device_of(task.config))
    fabric = fabric_of(task.config, "cpu", precision)
    task.network.train()
    steps = Stepper(fabric, precision, task.config, task.network, 10_000)
    crops = Augment(CROP, (0.5, 2.0))
    batches = cycle(list(train_loader(task.train_set, crops, batch=BATCH, seed=0, start=0, count=1)))
    return lambda: steps.step(1, batches, folder)


def interleaved(parties: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Median seconds of each, one round of all after the other; the first is a warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in parties}
    for _ in range(ROUNDS + 1):
        for name, run in parties.items():
            began = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - began)
    return {name: median(values[1:]) for name, values in seconds.items()}


def load(root: Path) -> float:
    """Images per second of one loading process alone, at the paper's crop of 512."""
    count = 40
    batches = train_loader(
        job(root).train_set, Augment(512, (0.5, 2.0)), batch=16, seed=0, start=0, count=count, workers=1
    )
    next(batches)
    began = time.perf_counter()
    for _ in batches:
        pass
    return 16 * (count - 1) / (time.perf_counter() - began)


def evaluation(root: Path) -> dict[str, float]:
    """Seconds of evaluating a few images, and of the bare forward passes over them."""
    task = job(root)
    images = Subset(task.eval_set, range(IMAGES))
    network = task.network.eval()
    ready = [normalise(images.image(index))[None] for index in range(IMAGES)]

    @torch.inference_mode()
    def bare() -> None:
        for image in ready:
            network(image)

    return interleaved({"evaluation": lambda: evaluate(network, images), "bare": bare})


def main(root: Path, folder: Path) -> None:
    """Measure and write."""
    folder.mkdir(parents=True, exist_ok=True)
    took = interleaved({name: stepper(root, folder, **more) for name, more in OPTIONS.items()})
    plain = took["float32"]
    scored = evaluation(root)
    machine = environment("cpu")
    lines = [
        "# Training and evaluation on this machine",
        "",
        f"Made by `python reports/training_speed.py SIFT_FLOW_ROOT`: {machine['cpu']}, {machine['threads']} "
        f"threads, torch {machine['torch']}. RecoNet, ResNet-50, 33 classes.",
        "",
        f"One step (forward, backward, SGD) of {BATCH} crops of {CROP}×{CROP}, medians of {ROUNDS} rounds:",
        "",
        "| options | s | quicker than float32 |",
        "|---|---:|---:|",
        *(f"| {name} | {seconds:.2f} | {plain / seconds:.2f}× |" for name, seconds in took.items()),
        "",
        f"- One loading process alone makes {load(root):.0f} crops of 512×512 a second; the quickest step "
        f"alone takes {BATCH / min(took.values()):.1f} crops of {CROP}×{CROP} a second.",
        f"- Evaluating {IMAGES} images of 256×256 at one scale takes "
        f"{scored['evaluation'] / scored['bare']:.3f} times the bare forward passes' {scored['bare']:.2f} s.",
    ]
    print(write_text(folder / "README.md", "\n".join(lines) + "\n").read_text())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "reports/cpu/training-speed"))
