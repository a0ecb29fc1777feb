"""A case: everything needed to repeat one measurement."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Mode = Literal["infer", "train"]
Layout = Literal["contiguous", "channels_last"]

DTYPES = ("float32", "float64", "bfloat16", "float16")


@dataclass(frozen=True)
class Case:
    """A module, its options, and the conditions it is measured under.

    ``module`` is a registry name, ``path/to/file.py:Class`` or ``package.module:Class``.
    ``implementation`` is ``"fast"`` or ``"published"``, or ``"single"`` for a module that has one form.
    ``mode="infer"`` is a forward pass without autograd in eval mode; ``mode="train"`` is a forward and
    a backward pass in training mode, with gradients of the parameters and of the input.
    """

    module: str
    channels: int
    height: int
    width: int
    options: Mapping[str, Any] = field(default_factory=dict)
    implementation: str = "fast"
    batch: int = 1
    dtype: str = "float32"
    layout: Layout = "contiguous"
    mode: Mode = "infer"
    device: str = "cpu"
    compile: bool = False

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Input shape (N, C, H, W)."""
        return (self.batch, self.channels, self.height, self.width)

    @property
    def id(self) -> str:
        """Twelve hex digits that are equal exactly when two cases are the same."""
        text = json.dumps(self.to_json(), sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def config(self) -> str:
        """The options as text, ``rank=64``; empty where the module is built with its defaults."""
        return ", ".join(f"{key}={value}" for key, value in self.options.items())

    def to_json(self) -> dict[str, Any]:
        """The case as JSON values; tuples among the options become lists."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Case":
        """The inverse of :meth:`to_json`; lists among the options become tuples again."""
        options = {k: tuple(v) if isinstance(v, list) else v for k, v in values["options"].items()}
        return cls(**{**values, "options": options})
