"""Settings that are known to train a data set: the generated set's own, and those that papers offer.

A paper's offer ``training_presets`` (:mod:`ctxbench.shelf`) is a mapping from a data set's name to its
:class:`Preset`. Where two papers have one for the same data set, the first paper's by name stands.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctxbench import shelf
from ctxbench.errors import UserError
from ctxbench.networks.registry import Network, find
from ctxbench.train.config import TrainConfig, assignments, configure
from ctxbench.typed import read_toml


@dataclass(frozen=True)
class Preset:
    """Settings under the name of their data set, and what to expect of them: both in ``docs/settings.md``."""

    name: str
    settings: Mapping[str, Any]
    source: str
    """Where they are from."""
    expected: str
    """The score, and whose it is."""
    cost: str
    """What it takes, and how that is known."""
    command: str
    """What one types for it."""

    @property
    def config(self) -> TrainConfig:
        """The settings, with the defaults of all others."""
        return configure(self.settings)


SYNTHETIC = Preset(
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
    "minutes on two CPU cores, for both networks with their evaluations: measured in README.md",
    "ctxbench train",
)


def presets() -> dict[str, Preset]:
    """All presets by the name of their data set: the generated one's first, then those of papers."""
    by_name = {SYNTHETIC.name: SYNTHETIC}
    for offer in shelf.offers("training_presets"):
        for name, preset in offer.items():
            by_name.setdefault(name, preset)
    return by_name


def configured(*layers: Mapping[str, Any], preset: str | None = None) -> TrainConfig:
    """The configuration of layers of settings over ``preset``'s, by default that of the data set they name.

    Later layers take precedence. Where none names a data set, it is the generated one. What is published for
    the model that they name, :func:`published`, stands over the preset and under the layers.

    Raises:
        UserError: a preset, a model or a setting is unknown, or a value is of another type or out of its
            range.

    """
    by_name = presets()
    if preset is not None and preset not in by_name:
        raise UserError(f"no preset named {preset!r}; presets: {', '.join(by_name)}")
    named = next((layer["dataset"] for layer in reversed(layers) if "dataset" in layer), SYNTHETIC.name)
    base = by_name.get(preset or named) if isinstance(named, str) else None
    settings = base.settings if base else {}
    model = next((layer["model"] for layer in reversed(layers) if "model" in layer), settings.get("model"))
    if not isinstance(model, str):  # none, or of a type that configure refuses
        return configure(settings, *layers)
    known = find(model)
    return configure(settings, published(known, settings), *layers, {"model": known.name})


def published(network: Network, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What is published of how a network is trained, as settings that go over a preset's ``settings``.

    The rate of its head belongs to a schedule: it replaces that of a preset which has one.
    """
    found: dict[str, Any] = {}
    if network.aux_weight is not None:
        found["aux_weight"] = network.aux_weight
    if network.head_lr_factor is not None and "head_lr_factor" in settings:
        found["head_lr_factor"] = network.head_lr_factor
    return found


def requested(
    flags: Mapping[str, Any],
    file: Path | None,
    settings: Mapping[str, Any] | Sequence[str],
    options: Mapping[str, Any],
    preset: str | None,
) -> TrainConfig:
    """The configuration that somebody asks for: the preset's, a file's over it, then flags, then settings.

    Flags that are None are not given. ``options`` are the context module's. Raises UserError as
    :func:`configured` does, and for an option of a module that there is not.
    """
    given = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in flags.items()
        if value is not None
    }
    assigned = dict(settings) if isinstance(settings, Mapping) else assignments(settings)
    if options:
        if dotted := next((key for key in options if "." in key), None):
            raise UserError(f"-o takes KEY=VALUE, an option of the one context module, not {dotted!r}")
        assigned["context_options"] = {**options, **assigned.get("context_options", {})}
    return configured(read_toml(file) if file else {}, given, assigned, preset=preset)
