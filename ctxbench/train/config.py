"""Everything that a training depends on: one flat table, in TOML or as ``key=value`` texts."""

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from ctxbench.errors import UserError
from ctxbench.measure.fields import check_fields
from ctxbench.networks.resnet import Stem, StrideIn
from ctxbench.subject import registry, resolve

FREE = frozenset(("root", "workers", "device", "devices", "checkpoint_every", "log_every", "baseline"))
"""Settings that may be changed in a run's config.toml before it is resumed: samples and steps stay the same.
Rounding may not, nor, with ``devices``, batch norm's statistics and what a pixel weighs where others are
ignored: the loss is the mean over passes of each pass's mean."""


@dataclass(frozen=True)
class TrainConfig:
    """How a network is built, trained and evaluated. The defaults are the paper's (sections 3.5 and 4.1).

    Raises UserError where a value has the wrong type or makes no sense, naming it.
    """

    model: str = "reconet"
    """One of :data:`ctxbench.networks.network.MODELS`."""
    context: str | None = None
    """Context module of "reconet": a registered name, file.py:Class, or "none". Unset: TGM+TRM."""
    context_options: dict[str, Any] = field(default_factory=dict)
    """What its constructor is given."""
    backbone: str = "resnet50"
    stem: Stem = "deep"
    """Three 3×3 convolutions, or one 7×7."""
    stride_in: StrideIn = "3x3"
    """The convolution of a bottleneck that has the stride: torchvision's, or caffe's and Keras's."""
    weights: str | None = None
    """File of the backbone's weights. Unset: they start at random."""
    channels: int = 512
    """Of X, the features that the context module sees."""
    global_pool: bool = True
    """The global pooling module, GPM."""
    auxiliary: bool = True
    """An FCN head on C4."""
    aux_weight: float = 0.2
    """α of equation (4): loss = main + α · auxiliary."""
    dataset: str = "synthetic"
    root: str | None = None
    """The data set's folder, in its authors' layout."""
    train_split: str | None = None
    """Unset: the one the data set is usually trained on."""
    eval_split: str | None = None
    """Unset: the one it is usually evaluated on."""
    skip_bad: bool = False
    """Leave out, and name, samples that cannot be read, instead of stopping at the first."""
    crop: int = 512
    """Side of the training images in pixels."""
    scale: tuple[float, ...] = (0.5, 2.0)
    """Range of the random resizing factor."""
    flip: bool = True
    colour: float = 0.0
    """Share by which brightness, contrast and saturation vary; 0 leaves them."""
    epochs: float = 80.0
    iterations: int = 0
    """Steps of the optimizer; 0: as many as ``epochs`` takes."""
    batch: int = 16
    """Crops in a step of the optimizer: those of one pass × processes × ``accumulate``."""
    accumulate: int = 1
    """Passes whose gradients are summed for one step."""
    lr: float = 0.001
    """At the start; it falls as (1 - iteration / iterations) ** power."""
    head_lr_factor: float = 1.0
    """Learning rate of all but the backbone, as a multiple of ``lr``. The paper is silent; others use 10."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """SGD is the paper's. AdamW divides each gradient by its own size, and so moves TGM's small ones too."""
    momentum: float = 0.9
    """SGD's momentum, or AdamW's first beta."""
    weight_decay: float = 0.0001
    power: float = 0.9
    init: str | None = None
    """Folder of a run, or a checkpoint file, whose weights the whole network starts from."""
    seed: int = 0
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    workers: int = 0
    """Processes that load data, for each that trains; 0: it loads its own."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: a GPU where there is one."""
    devices: int = 1
    """Processes on this machine; torchrun's own count stands where it started us."""
    compile: bool = False
    channels_last: bool = False
    deterministic: bool = False
    """Refuse what is faster but differs from run to run on a GPU; what has no other form is warned about."""
    checkpoint_every: int = 200
    """Iterations; the last one is always kept."""
    evaluate_every: int = 0
    """Iterations; 0: after the last alone."""
    log_every: int = 1
    """Iterations between two rows of train.csv."""
    baseline: bool = False
    """Also train the same network without context module and GPM, in the folder ``baseline``."""

    def __post_init__(self) -> None:
        try:
            check_fields(type(self), vars(self))
        except ValueError as error:
            raise UserError(f"training: {error}") from error
        for name in (
            "epochs",
            "batch",
            "accumulate",
            "lr",
            "head_lr_factor",
            "channels",
            "devices",
            "log_every",
        ):
            if getattr(self, name) <= 0:
                raise UserError(f"training: {name} must be positive, not {getattr(self, name)}")
        for name in (
            "iterations",
            "workers",
            "evaluate_every",
            "checkpoint_every",
            "seed",
            "colour",
            "power",
            "weight_decay",
        ):
            if getattr(self, name) < 0:
                raise UserError(f"training: {name} must not be negative, as {getattr(self, name)} is")
        if not 0 <= self.momentum < 1:
            raise UserError(f"training: momentum is at least 0 and below 1, not {self.momentum}")
        if self.seed >= 1 << 32:
            raise UserError(f"training: seed must be below 2**32, not {self.seed}")
        if self.baseline and self.init is not None:
            raise UserError(
                "training: a run that starts from another's weights has no baseline, whose network they do "
                "not fit: add --no-baseline"
            )
        if self.crop < 65:
            raise UserError(f"training: crop must be at least 65 pixels, not {self.crop}")
        if len(self.scale) != 2 or not 0 < self.scale[0] <= self.scale[1]:
            raise UserError(f"training: scale is a range such as [0.5, 2.0], not {list(self.scale)}")

    @property
    def title(self) -> str:
        """The network in words."""
        if self.model != "reconet":
            return self.model
        if self.context == "none":
            return "GPM alone" if self.global_pool else "no context module"
        context = (self.context or "reconet").rpartition("/")[2]
        if context == "reconet":
            return context if self.global_pool else "reconet without GPM"
        return f"{context} and GPM" if self.global_pool else context

    @property
    def without_context(self) -> "TrainConfig":
        """The same, of RecoNet's network without context module and GPM."""
        bare: dict[str, Any] = {"context": "none", "context_options": {}, "global_pool": False}
        return replace(self, model="reconet", baseline=False, **bare)

    @property
    def digest(self) -> str:
        """Twelve hex digits that are equal for configurations that differ in :data:`FREE` settings alone.

        A context module of one's own counts with its file's content. Raises UserError where it is not there.
        """
        bound = {name: value for name, value in self._in_force.items() if name not in FREE}
        if self.context is not None and self.context not in ("none", *registry.names()):
            bound["source"] = resolve.source_digest(self.context)
        return hashlib.sha256(repr(sorted(bound.items())).encode()).hexdigest()[:12]

    def to_toml(self) -> str:
        """The table as TOML, without what is unset."""
        import tomli_w

        return tomli_w.dumps(self._in_force)

    @property
    def _in_force(self) -> dict[str, Any]:
        hidden = "epochs" if self.iterations else "iterations"
        return {name: v for name, v in vars(self).items() if v is not None and name != hidden}


def read_toml(path: Path) -> dict[str, Any]:
    """The settings in a file. Raises UserError where it cannot be read or is no TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path} is no TOML: {error}") from error


def assignments(pairs: Sequence[str]) -> dict[str, Any]:
    """The settings in ``key=value`` texts: TOML or a bare word; ``context_options.KEY`` is one option."""
    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise UserError(f"--set takes KEY=VALUE, such as lr=0.01, not {pair!r}")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        table, _, option = key.partition(".")
        if table == "context_options" and option:
            key, value = table, {**values.get(table, {}), option: value}
        values[key] = value
    return values


def configure(*layers: Mapping[str, Any]) -> TrainConfig:
    """The configuration that layers of settings make, later ones first in right.

    A layer's context_options replace an earlier one's.

    Raises UserError for an unknown setting, with the nearest ones.
    """
    known = [item.name for item in fields(TrainConfig)]
    values: dict[str, Any] = {}
    for layer in layers:
        for name in layer:
            if name not in known:
                near = get_close_matches(name, known, n=3, cutoff=0.5)
                hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"
                raise UserError(f"training has no setting {name!r}; {hint}")
        if {"epochs", "iterations"} <= layer.keys() and layer["iterations"]:
            raise UserError("training: give epochs or iterations, not both")
        if "epochs" in layer:  # an earlier layer's iterations would hide them
            values["iterations"] = 0
        values |= layer
    if isinstance(values.get("scale"), list):
        values["scale"] = tuple(values["scale"])
    return TrainConfig(**values)
