"""Weights for the backbone, from files of tensors alone, matched strictly and by name.

Read are torchvision's and timm's ResNets (the same names) and three layouts of the deep stem: ``conv1.0`` to
``conv1.6`` and ``bn1`` (timm's resnet101c and resnet101s, PyTorch-Encoding), ``stem.0`` to ``stem.7``
(mmsegmentation's ResNetV1c) and ``conv1``/``bn1`` to ``conv3``/``bn3`` (the PSPNet authors').

A file of a whole network holds its backbone under a prefix, such as ``backbone.``: where no ResNet stands at
the top, the one under a prefix is taken, and the report names the prefix and what else was left out.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open
from torch import Tensor, nn

from ctxbench.errors import UserError, in_one_line
from ctxbench.networks.resnet import ResNet, Stem
from ctxbench.networks.tensor_files import load_tensors

CLASSIFIERS = ("fc.", "classifier.", "head.", "last_linear.")
WRAPPERS = ("state_dict", "model", "net")
COUNTER = "num_batches_tracked"
MAX_KEYS = 3
"""Keys that are named of each kind."""

PREFIXES = ("module.", "backbone.", "encoder.")
"""Where whole networks usually keep their backbone, alone or one in another."""
TORCHCV_STEM = "prefix."
"""What torchcv, the code base of ANN, CCNet's openseg and DNL, puts before the names of its stem alone."""
ANCHOR = "layer1.0.conv1.weight"
"""A key of every ResNet, whatever its stem."""

DEEP_STEMS = {
    "stem.7.weight": {**{f"stem.{i}": f"conv1.{i}" for i in (0, 1, 3, 4, 6)}, "stem.7": "bn1"},
    "conv3.weight": {
        "conv1": "conv1.0",
        "bn1": "conv1.1",
        "conv2": "conv1.3",
        "bn2": "conv1.4",
        "conv3": "conv1.6",
        "bn3": "bn1",
    },
}
"""A key that only this layout of the deep stem has, to what its modules are called here."""


Mismatch = tuple[str, tuple[int, ...], tuple[int, ...]]
"""A key, the shape in the file, and the shape wanted."""


@dataclass(frozen=True)
class LoadReport:
    """How the keys of a file and those of a module meet.

    Of what a module lacks in the file, batch norm's batch counters may be ``missing``; of what it has beyond
    the module, classifiers may be ``unexpected`` (they are dropped). Anything else is a difference.
    ``mismatched`` has the shape in the file and the shape wanted. ``about`` is what the file says of itself.
    ``prefix`` is what the names of the backbone's keys began with in the file, and ``outside`` are those that
    did not. ``names`` is the release by whose names a whole network was read, and ``note`` what its network
    has otherwise than ours, which no key shows.
    """

    matched: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[Mismatch, ...]
    about: str = ""
    prefix: str = ""
    outside: tuple[str, ...] = ()
    names: str = ""
    note: str = ""

    @property
    def differences(self) -> str:
        """The first keys of each kind that differ, in one line; empty where the file fits."""
        unexpected = [key for key in self.unexpected if not key.startswith(CLASSIFIERS)]
        return differences(self.missing, unexpected, self.mismatched)

    def __str__(self) -> str:
        parts = [f"{len(self.matched)} keys matched"]
        if self.names:
            parts[0] += f" by the names of {self.names}"
        if self.missing:
            parts.append(f"{len(self.missing)} missing: {first(self.missing)}")
        if self.unexpected:
            parts.append(f"{len(self.unexpected)} dropped: {first(self.unexpected)}")
        if self.mismatched:
            shapes = first(_shapes(self.mismatched))
            parts.append(f"{len(self.mismatched)} of another shape left as they were: {shapes}")
        if self.prefix:
            parts.append(f"read under {self.prefix!r}")
        if self.outside:
            parts.append(f"{len(self.outside)} outside it left out: {first(self.outside)}")
        if self.note:
            parts.append(f"note that {self.note}")
        if self.about:
            parts.append(f"the file says: {self.about}")
        return "; ".join(parts)


def differences(missing: Sequence[str], unexpected: Sequence[str], mismatched: Sequence[Mismatch]) -> str:
    """The first keys of each kind in one line, batch counters left out; empty where there are none."""
    kinds = {
        "missing": [key for key in missing if not key.endswith(COUNTER)],
        "unexpected": unexpected,
        "of another shape": _shapes(mismatched),
    }
    return "; ".join(f"{len(keys)} {kind}: {first(keys)}" for kind, keys in kinds.items() if keys)


def _shapes(mismatched: Sequence[Mismatch]) -> list[str]:
    return [f"{key} ({_by(stored)} for {_by(wanted)})" for key, stored, wanted in mismatched]


def compare(
    module: nn.Module,
    state: Mapping[str, Tensor],
    about: str = "",
    *,
    prefix: str = "",
    outside: tuple[str, ...] = (),
) -> LoadReport:
    """Hold a state dict against a module's own, without loading it. The rest is the report's."""
    own = module.state_dict()
    shapes = [(key, tuple(state[key].shape), tuple(own[key].shape)) for key in own if key in state]
    return LoadReport(
        matched=tuple(key for key, stored, wanted in shapes if stored == wanted),
        missing=tuple(key for key in own if key not in state),
        unexpected=tuple(key for key in state if key not in own),
        mismatched=tuple(shape for shape in shapes if shape[1] != shape[2]),
        about=about,
        prefix=prefix,
        outside=outside,
    )


def load_weights(backbone: ResNet, path: str | Path) -> LoadReport:
    """Load a file of ImageNet weights into a backbone; half precision is widened to the backbone's.

    No file says by its keys where the stride of a block is: ``stride_in`` is the caller's to know (see
    :class:`~ctxbench.networks.resnet.Bottleneck`).

    Raises UserError, and loads nothing, where the file cannot be read, holds code, or differs from the
    backbone by more than batch counters and a classifier.
    """
    path = Path(path)
    whole, about = read_state(path)
    state, prefix = backbone_state(whole, path)
    outside = tuple(key for key in whole if not key.startswith(prefix))
    report = compare(backbone, state, about, prefix=prefix, outside=outside)
    if report.differences:
        place = f", read under {prefix!r}," if prefix else ""
        tried = (
            ""
            if ANCHOR in state
            else f"; it has no {ANCHOR} either, under {', '.join(PREFIXES)} or elsewhere"
        )
        hint = stem_hint(backbone, state)
        raise UserError(f"{path}{place} does not fit this backbone{hint}: {report.differences}{tried}")
    backbone.load_state_dict({key: state[key] for key in report.matched}, strict=False)
    return report


def backbone_state(whole: Mapping[str, Tensor], path: Path) -> tuple[dict[str, Tensor], str]:
    """The backbone's tensors among those of a file, by their names here, and the prefix they had in it.

    Raises UserError where several parts of the file are ResNets.
    """
    prefix = _prefix(whole, path)
    inside = {key.removeprefix(prefix): value for key, value in whole.items() if key.startswith(prefix)}
    return _renamed(inside), prefix


def _prefix(state: Mapping[str, Tensor], path: Path) -> str:
    """Return what the backbone's keys begin with: nothing, some of ``PREFIXES``, or the only one there is.

    Raises UserError where several parts of the file are ResNets, and no rule tells which is meant.
    """
    places = [key.removesuffix(ANCHOR) for key in state if f".{key}".endswith(f".{ANCHOR}")]
    usual = [prefix for prefix in places if all(f"{part}." in PREFIXES for part in prefix.split(".")[:-1])]
    for prefixes in ([prefix for prefix in places if not prefix], usual, places):
        if len(prefixes) == 1:
            return prefixes[0]
    if places:
        raise UserError(f"{path} holds {len(places)} ResNets, under {first(places)}: keep the one to load")
    return ""


def read_state(path: Path) -> tuple[dict[str, Tensor], str]:
    """Return a file's tensors by name, out of their wrappers, and what it says of itself."""
    if not path.is_file():
        raise UserError(f"no file of weights at {path}")
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                about = ", ".join(f"{key}: {value}" for key, value in sorted((file.metadata() or {}).items()))
                return {key: file.get_tensor(key) for key in file.keys()}, about  # noqa: SIM118
        loaded = load_tensors(path)
    except Exception as error:  # safetensors' own, of a damaged file, is no subclass of anything else
        why = in_one_line(error)
        raise UserError(
            f"no weights in {path}: {why}; give a state dict, by torch.save or safetensors"
        ) from error
    while isinstance(loaded, Mapping) and (key := next((k for k in WRAPPERS if k in loaded), None)):
        loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in loaded.items()
    ):
        raise UserError(
            f"{path} holds no state dict (names to tensors), nor has it one under {' or '.join(WRAPPERS)}"
        )
    return dict(loaded), ""


def is_state(path: Path) -> bool:
    """Whether a file holds a state dict."""
    with suppress(UserError):
        return bool(read_state(path)[0])
    return False


def _renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the state with the modules of its stem named as here."""
    state = {key.removeprefix(TORCHCV_STEM): value for key, value in state.items()}
    names = next((names for key, names in DEEP_STEMS.items() if key in state), {})

    def rename(key: str) -> str:
        module, dot, leaf = key.rpartition(".")
        return f"{names.get(module, module)}{dot}{leaf}"

    return {rename(key): value for key, value in state.items()}


def _stem(state: Mapping[str, Tensor]) -> Stem | None:
    """Return the stem a file was made with; None where its keys are no ResNet's."""
    if "conv1.weight" in state:
        return "plain"
    if "conv1.6.weight" not in state or "layer1.0.conv1.weight" not in state:
        return None
    width, entry = state["layer1.0.conv1.weight"].shape[:2]
    return "deep" if entry == 2 * width else "deep-narrow"


def stem_hint(backbone: ResNet, state: Mapping[str, Tensor]) -> str:
    """Which stem the file is of, where it is another than the backbone's."""
    stem = _stem(state)
    return f" of stem={backbone.stem}, it needs stem={stem}" if stem not in (None, backbone.stem) else ""


def first(keys: Sequence[str]) -> str:
    """The first few keys, for one line."""
    return ", ".join(keys[:MAX_KEYS]) + (", …" if len(keys) > MAX_KEYS else "")


def _by(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "scalar"
