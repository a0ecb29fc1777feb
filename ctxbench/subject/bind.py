"""From a class and a case to a built module: which constructor arguments get which values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ctxbench.errors import UserError, in_one_line, is_out_of_memory
from ctxbench.subject import registry
from ctxbench.subject.registry import SINGLE
from ctxbench.subject.resolve import load

if TYPE_CHECKING:
    import inspect
    from collections.abc import Mapping

    from torch import nn

    from ctxbench.subject.case import Case

CHANNEL_ARGUMENTS = ("channels", "in_channels", "dim", "in_dim", "in_planes", "inplanes", "planes", "c")
SEED = 0
"""Of the weights that a case's module is built with."""


def _parameters(cls: type[nn.Module]) -> Mapping[str, inspect.Parameter]:
    import inspect

    return inspect.signature(cls).parameters


def options(name: str) -> dict[str, Any]:
    """The options a module takes beyond channels and size, with their defaults."""
    cls = load(name)
    given = {"size", "implementation", _channel_argument(cls)}
    return {
        key: None if parameter.default is parameter.empty else parameter.default
        for key, parameter in _parameters(cls).items()
        if key not in given and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    }


def implementations(name: str) -> tuple[str, ...]:
    """``("fast", "published")``, or ``("single",)`` for a module that has one form. No built-in is loaded."""
    if name in registry.SPECS:
        return registry.SPECS[name].forms
    return ("fast", "published") if "implementation" in _parameters(load(name)) else (SINGLE,)


def _channel_argument(cls: type[nn.Module]) -> str | None:
    return next((key for key in CHANNEL_ARGUMENTS if key in _parameters(cls)), None)


def build(
    name: str,
    /,
    channels: int,
    size: tuple[int, int] | None = None,
    implementation: str | None = None,
    **chosen: Any,
) -> nn.Module:
    """Build a context module for (N, ``channels``, H, W) inputs.

    ``size`` is (H, W); it reaches only modules whose weights depend on it. A third-party class is given its
    channels under whichever of the usual names its constructor has; what else it needs comes as options.

    Raises UserError naming the option or the value that does not fit, or what the constructor raised.
    """
    cls = load(name)
    accepted = _parameters(cls)
    open_ended = any(p.kind is p.VAR_KEYWORD for p in accepted.values())
    arguments: dict[str, Any] = {}
    if (channel_argument := _channel_argument(cls)) is not None:
        arguments[channel_argument] = channels
        # Given as an option too it must say the same: one of the two would silently lose.
        if (given := chosen.get(channel_argument, channels)) != channels:
            raise UserError(
                f"{channel_argument} is the input's channels here, which --channels says ({channels}), "
                f"not {given!r}"
            )
    if "size" in accepted:
        if size is None:
            raise UserError(f"{name} needs a size (H, W): its weights depend on it")
        arguments["size"] = size
    if implementation not in (None, SINGLE):
        if "implementation" not in accepted:
            raise UserError(f"{name} has one implementation; {implementation!r} was asked for")
        arguments["implementation"] = implementation
    for key in chosen:
        if key not in accepted and not open_ended:
            have = ", ".join(options(name)) or "none"
            raise UserError(f"{name} has no option {key!r}; its options: {have}")
    arguments.update(chosen)
    named = [p for p in accepted.values() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    missing = [p.name for p in named if p.default is p.empty and p.name not in arguments]
    if missing:
        raise UserError(f"{name} needs {', '.join(missing)}: give -o {missing[0]}=VALUE")
    try:
        return cls(**arguments)
    except (ValueError, TypeError, SystemExit) as error:
        raise UserError(f"{name}: {error}") from error
    except Exception as error:
        # Among tensors without data (fake ones, the meta device) it may be about them alone: it comes through
        # as it is, and whoever made them then builds for real. Where memory ran out nothing is wrong with the
        # class, and its record says so.
        if is_out_of_memory(error) or not _tensors_hold_data():
            raise
        raise UserError(f"{name} cannot be built: {in_one_line(error)}") from error


def _tensors_hold_data() -> bool:
    """Whether a tensor that is made here and now has data; fake tensors and those on meta have none."""
    import torch

    probe = torch.empty(0)
    return type(probe) is torch.Tensor and not probe.is_meta


def build_case(case: Case) -> nn.Module:
    """Build a case's module with seeded weights, in float32 on the CPU. Raises UserError as :func:`build`."""
    import torch

    torch.manual_seed(SEED)
    form = None if case.implementation == SINGLE else case.implementation
    return build(case.module, case.channels, (case.height, case.width), form, **case.options)
