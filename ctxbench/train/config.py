"""Everything that a training depends on: one flat table, in TOML or as ``key=value`` texts.

Imports no torch, so that a wrong setting is refused at once.
"""

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from ctxbench.errors import UserError
from ctxbench.subject import registry, resolve
from ctxbench.train.kinds import (
    Count,
    CountOrZero,
    Crop,
    Dilations,
    Loggers,
    Momentum,
    NotNegativeNumber,
    Number,
    PositiveNumber,
    Range,
    Seed,
)
from ctxbench.typed import literal

FREE = frozenset(("root", "workers", "device", "devices", "checkpoint_every", "log_every", "log", "baseline"))
"""Settings that may be changed in a run's config.toml before it is resumed: samples and steps stay the same.
Rounding may not, nor, with ``devices``, batch norm's statistics and what a pixel weighs where others are
ignored: the loss is the mean over passes of each pass's mean."""


@dataclass(frozen=True)
class TrainConfig:
    """How a network is built, trained and evaluated.

    The defaults are RecoNet's, of sections 3.5 and 4.1, but for the backbone (ResNet-101 there), the data set
    and ``head_lr_factor``, which the presets set.

    :func:`configure` checks types and ranges; where two settings do not go together, UserError names them.
    """

    model: str = "reconet"
    """A network that ``ctxbench train --help`` names."""
    context: str | None = None
    """Context module of "reconet": a registered name, file.py:Class, or "none". Unset: TGM+TRM."""
    context_options: dict[str, Any] = field(default_factory=dict)
    """What its constructor is given; of another model, its head's own options."""
    backbone: str = "resnet50"
    """resnet50, resnet101 or resnet152; resnet-tiny or resnet-small for trials."""
    stem: Literal["deep", "deep-narrow", "plain"] = "deep"
    """Three 3×3 convolutions, or one 7×7."""
    stride_in: Literal["3x3", "1x1"] = "3x3"
    """The convolution of a bottleneck that has the stride: torchvision's, or caffe's and Keras's."""
    dilations: Dilations = None
    """Of each block of Res-5, such as [2, 8, 16], HamNet's and EMANet's authors'. Unset: 2, 4, 4."""
    weights: str | None = None
    """File of the backbone's weights. Unset: they start at random."""
    channels: Count = 512
    """Of X, the features that the context module sees."""
    global_pool: bool = True
    """The global pooling module, GPM."""
    auxiliary: bool = True
    """An FCN head on C4, in the form that the model's authors train it with, if they do. OCRNet's is a part
    of its head, and there in any case."""
    aux_weight: Number = 0.2
    """α of equation (4): loss = main + α · auxiliary. Of another model it is what its authors take."""
    dataset: str = "synthetic"
    """One that ``ctxbench data list`` lists."""
    root: str | None = None
    """The data set's folder, in its authors' layout."""
    train_split: str | None = None
    """Unset: the one the data set is usually trained on."""
    eval_split: str | None = None
    """Unset: the one it is usually evaluated on."""
    skip_bad: bool = False
    """Leave out, and name, samples that cannot be read, instead of stopping at the first."""
    crop: Crop = 512
    """Side of the training images in pixels."""
    scale: Range = (0.5, 2.0)
    """Range of the random resizing factor."""
    flip: bool = True
    """Mirror half of the training images, drawn at random."""
    colour: NotNegativeNumber = 0.0
    """Share by which brightness, contrast and saturation vary; 0 leaves them."""
    epochs: PositiveNumber = 80.0
    """How often each training image is seen, where ``iterations`` is 0."""
    iterations: CountOrZero = 0
    """Steps of the optimizer; 0: as many as ``epochs`` takes."""
    batch: Count = 16
    """Crops in a step of the optimizer: those of one pass × processes × ``accumulate``."""
    accumulate: Count = 1
    """Passes whose gradients are summed for one step."""
    lr: PositiveNumber = 0.001
    """At the start; it falls as (1 - iteration / iterations) ** power."""
    head_lr_factor: PositiveNumber = 1.0
    """Learning rate of all but the backbone, as a multiple of ``lr``. The RecoNet paper is silent; its
    presets take 10, as the code base does that its module was released for. Where a preset sets one, what is
    published for another model stands before it."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """SGD is RecoNet's. AdamW divides each gradient by its own size, and so moves TGM's small ones too."""
    momentum: Momentum = 0.9
    """SGD's momentum, or AdamW's first beta."""
    weight_decay: NotNegativeNumber = 0.0001
    """Of all parameters, biases and norms included; of DNLNet's queries and keys none, as published."""
    power: NotNegativeNumber = 0.9
    """Of the fall of ``lr``."""
    init: str | None = None
    """Folder of a run, or a checkpoint file, whose weights the whole network starts from; of networks whose
    names there are known, also a file of their authors' or of mmsegmentation."""
    seed: Seed = 0
    """Every random number of a training follows from it."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    """Of convolutions and products; weights stay float32."""
    workers: CountOrZero = 0
    """Processes that load data, for each that trains; 0: it loads its own."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: a GPU where there is one."""
    devices: Count = 1
    """Processes on this machine; torchrun's own count stands where it started us."""
    compile: bool = False
    """Train through torch.compile."""
    channels_last: bool = False
    """Lay images and weights out in memory with the channels last."""
    deterministic: bool = False
    """Refuse what is faster but differs from run to run on a GPU; what has no other form is warned about."""
    checkpoint_every: CountOrZero = 200
    """Iterations; the last one is always kept."""
    evaluate_every: CountOrZero = 0
    """Iterations; 0: after the last alone."""
    log_every: Count = 1
    """Iterations between two rows of train.csv."""
    log: Loggers = None
    """Loggers beside TensorBoard and CSV, such as ["wandb", "mlflow"]."""
    baseline: bool = False
    """Also train the same network without context module and GPM, in the folder ``baseline``."""

    def __post_init__(self) -> None:
        if self.baseline and self.init is not None:
            raise UserError(
                "training: a run that starts from another's weights has no baseline, whose network they do "
                "not fit: add --no-baseline"
            )
        if self.scale[0] > self.scale[1]:
            raise UserError(f"training: scale is {list(self.scale)}, not a range such as [0.5, 2.0]")

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
    def length(self) -> str:
        """How long it is trained, in words."""
        return f"{self.iterations} iterations" if self.iterations else f"{self.epochs:g} epochs"

    @property
    def without_context(self) -> "TrainConfig":
        """The same, of RecoNet's network without context module and GPM."""
        bare: dict[str, Any] = {"context": "none", "context_options": {}, "global_pool": False}
        return replace(self, model="reconet", baseline=False, **bare)

    def changed(self, **settings: Any) -> "TrainConfig":
        """The same but for some settings. Raises UserError as :func:`configure` does."""
        return _typed({**vars(self), **settings})

    @property
    def digest(self) -> str:
        """Twelve hex digits that are equal for configurations that differ in :data:`FREE` settings alone.

        A context module of one's own counts with its file's content. Raises UserError where it is not there.
        """
        bound = {name: value for name, value in self.in_force.items() if name not in FREE}
        if self.context is not None and self.context not in ("none", *registry.names()):
            bound["source"] = resolve.source_digest(self.context)
        return hashlib.sha256(repr(sorted(bound.items())).encode()).hexdigest()[:12]

    def to_toml(self) -> str:
        """The table as TOML, without what is unset."""
        import tomli_w

        return tomli_w.dumps(self.in_force)

    @property
    def in_force(self) -> dict[str, Any]:
        """The settings that are set and have an effect."""
        # of epochs and iterations one alone has an effect; the other would make two runs of the same training
        hidden = "epochs" if self.iterations else "iterations"
        return {name: v for name, v in vars(self).items() if v is not None and name != hidden}


def assignments(pairs: Sequence[str]) -> dict[str, Any]:
    """The settings in ``key=value`` texts: a value is TOML or a bare word.

    ``context_options.KEY`` is one option of the context module, its value as :func:`literal` reads it.
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise UserError(f"--set takes KEY=VALUE, such as lr=0.01, not {pair!r}")
        table, _, option = key.partition(".")
        if table == "context_options" and option:
            values[table] = {**values.get(table, {}), option: literal(text)}
        else:
            values[key] = _toml(text)
    return values


def _toml(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def configure(*layers: Mapping[str, Any]) -> TrainConfig:
    """The configuration that layers of settings make. Later layers take precedence.

    A layer's context_options replace an earlier one's.

    Raises:
        UserError: a setting is unknown (the nearest ones are named), its value is of another type or out of
            its range (what it takes is said), or both epochs and iterations are given.

    """
    values: dict[str, Any] = {}
    for layer in layers:
        check_names(layer)
        if {"epochs", "iterations"} <= layer.keys() and layer["iterations"]:
            raise UserError("training: give epochs or iterations, not both")
        if "epochs" in layer:  # an earlier layer's iterations would hide them
            values["iterations"] = 0
        values |= layer
    return _typed(values)


def check_names(layer: Mapping[str, Any]) -> None:
    """Raise UserError for a setting that there is not, with the nearest ones."""
    names = [item.name for item in fields(TrainConfig)]
    for name in layer:
        if name not in names:
            near = get_close_matches(name, names, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(names)}"
            raise UserError(f"training has no setting {name!r}; {hint}")


def _typed(values: Mapping[str, Any]) -> TrainConfig:
    """The configuration of settings whose names are known, each of its declared type."""
    try:
        config = msgspec.convert(values, TrainConfig, strict=True)
    except msgspec.ValidationError as error:
        path = str(error).rpartition("`$.")[2].rstrip("`")
        name = path.partition("[")[0]
        raise UserError(f"training: {name} is {values[name]!r:.40}, not {wanted(name)}") from error
    for key, value in config.context_options.items():
        if not _is_toml(value):
            raise UserError(
                f"training: context_options.{key} is {value!r:.40}, which config.toml cannot hold"
            )
    # an alias of a module would make two runs of the same training
    return config if config.context is None else replace(config, context=registry.named(config.context))


def wanted(name: str) -> str:
    """What a setting takes, in words."""
    declared = get_type_hints(TrainConfig, include_extras=True)[name]
    for meta in getattr(declared, "__metadata__", ()):
        if meta.description:
            return str(meta.description)
    if get_origin(declared) is Literal:
        *others, last = map(repr, get_args(declared))
        return f"{', '.join(others)} or {last}"
    return {bool: "true or false", dict[str, Any]: "a table of options"}.get(declared, "a text")


def _is_toml(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_toml(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_toml, value))
    return isinstance(value, bool | int | float | str)
