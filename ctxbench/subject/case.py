"""A case: everything needed to repeat one measurement."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from math import prod
from typing import Any, Literal, get_args

from ctxbench.errors import UserError
from ctxbench.subject import registry, resolve
from ctxbench.subject.bound import NOTHING_BOUND, Binding
from ctxbench.subject.expression import shown
from ctxbench.subject.interface import Interface
from ctxbench.typed import converted

Mode = Literal["infer", "train"]
Layout = Literal["contiguous", "channels_last"]
Runtime = Literal["eager", "compile", "onnxruntime", "openvino"]

ITEM_BYTES = {"float32": 4, "float64": 8, "bfloat16": 2, "float16": 2}
DTYPES = tuple(ITEM_BYTES)
MAX_INPUT_BYTES = 2**40
MAX_THREADS = 1024
"""More could take down the machine that starts them."""


@dataclass(frozen=True)
class Case:
    """A module, its options, and the conditions it is measured under.

    ``module`` is a subject as :mod:`ctxbench.subject.resolve` reads it, such as a registry name or
    ``path/to/file.py:Class``; ``binding`` is what was found out about one that is not built in, None
    where that is still to be done.
    ``implementation`` is ``"fast"`` or ``"published"``, or ``"single"`` for a module that has one form.
    ``mode="infer"`` is a forward pass without autograd in eval mode; ``mode="train"`` is a forward and
    a backward pass in training mode, with gradients of the parameters and of the input.
    ``threads`` are CPU threads of every library, None for as many as each takes by itself; ``runtime`` is
    what executes the module.
    """

    module: str
    channels: int
    height: int
    width: int
    options: Mapping[str, Any] = field(default_factory=dict)
    implementation: str = "fast"
    batch: int = 1
    fit: str = ""
    """Memory whose largest batch is to be found, ``fit:512MiB``; the batch is 1 until then. A case keeps it
    where there is no such batch, and is never run."""
    dtype: str = "float32"
    layout: Layout = "contiguous"
    mode: Mode = "infer"
    device: str = "cpu"
    threads: int | None = None
    runtime: Runtime = "eager"
    binding: Binding | None = None
    rule_options: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """Further options for the leaf rule alone, where a printed number fits another configuration than the
    block that is measured. They follow from module and options, and make no other case of it."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Input shape (N, C, H, W)."""
        return (self.batch, self.channels, self.height, self.width)

    @property
    def input_bytes(self) -> int:
        """Size of the input tensor."""
        return prod(self.shape) * ITEM_BYTES[self.dtype]

    @property
    def ceiling(self) -> str:
        """What a plan calls the roofline's ceilings that hold for it: its dtype, and its own threads."""
        return self.dtype if self.threads is None else f"{self.dtype}, {self.threads} threads"

    @property
    def id(self) -> str:
        """Twelve hex digits that are equal exactly when two cases are the same."""
        values = {name: value for name, value in self.to_json().items() if name != "rule_options"}
        runtime = values.pop("runtime")
        # The first two as schema 2 had them, whose files hold its ids.
        values["compile"] = {"eager": False, "compile": True}.get(runtime, runtime)
        text = json.dumps(values, sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def config(self) -> str:
        """The options as text, ``rank=64``; empty where the module is built with its defaults."""
        return ", ".join(f"{key}={shown(value)}" for key, value in self.options.items())

    @property
    def bound(self) -> str:
        """What was found out about the subject, in one line; empty for one that is built in."""
        return self.binding.said(self.shape) if self.binding not in (None, NOTHING_BOUND) else ""

    @property
    def interface(self) -> Interface:
        """How the module is called."""
        return (self.binding or NOTHING_BOUND).interface

    def to_json(self) -> dict[str, Any]:
        """Write the case as JSON values; tuples among the options become lists."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        for name in ("binding", "threads", "rule_options", "fit"):
            if not values[name]:  # which earlier versions do not know
                del values[name]
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Case":
        """Invert :meth:`to_json`; lists among the options become tuples again, at every depth.

        Raises ValueError where ``values`` is no case.
        """
        return converted(upgraded(values), cls).with_tuples()

    def with_tuples(self) -> "Case":
        """The case with tuples for the lists that JSON made of them among its options."""
        return replace(
            self,
            options=_with_tuples(self.options),
            rule_options=_with_tuples(self.rule_options),
            binding=self.binding and replace(self.binding, arguments=_with_tuples(self.binding.arguments)),
        )


def _with_tuples(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _with_tuples(item) for key, item in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list | tuple) else value


def upgraded(values: Mapping[str, Any]) -> dict[str, Any]:
    """A case as versions 1 and 2 of the schema have it, as this version has it."""
    values = dict(values)
    if "compile" in values:
        values["runtime"] = "compile" if values.pop("compile") else "eager"
    return values


def validate(case: Case) -> None:
    """Check what can be checked without torch.

    Raises UserError where the module is not known, a size is not a positive integer, the input alone would
    fill a tebibyte, the threads are too many, or dtype, layout, mode, implementation, runtime or device are
    not among those there are.
    """
    resolve.canonical(case.module)
    for name in ("batch", "channels", "height", "width", *(["threads"] if case.threads is not None else [])):
        value = getattr(case, name)
        if type(value) is not int or value < 1:
            raise UserError(f"{name} must be a positive integer, not {value!r}")
    if case.threads is not None and case.threads > MAX_THREADS:
        raise UserError(f"threads are {MAX_THREADS} at most, not {case.threads}")
    for name, allowed in (
        ("dtype", DTYPES),
        ("layout", get_args(Layout)),
        ("mode", get_args(Mode)),
        ("runtime", get_args(Runtime)),
        ("implementation", ("fast", "published", registry.SINGLE)),
    ):
        if getattr(case, name) not in allowed:
            raise UserError(f"unknown {name} {getattr(case, name)!r}; one of {', '.join(allowed)}")
    check_device(case.device)
    if case.input_bytes >= MAX_INPUT_BYTES:
        raise UserError(
            f"an input of {case.shape} {case.dtype} takes {case.input_bytes / 2**30:.0f} GiB; "
            f"limit {MAX_INPUT_BYTES // 2**30} GiB"
        )


def check_device(device: str) -> None:
    """Raise UserError where ``device`` is not the name of one; whether it is there, only torch knows."""
    if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise UserError(f"unknown device {device!r}; cpu, cuda or cuda:N")
