"""What a constructor's arguments may be given, the likeliest first. Imports no torch."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from ctxbench.subject.binding import roles
from ctxbench.subject.binding.roles import Role

LEFT: Final = "<default>"
"""Stands for an argument that is left to its default."""
MAX_COMBINATIONS = 24
IMAGE_CHANNELS = (1, 3)


@dataclass(frozen=True)
class Slot:
    """An argument of a constructor: what it means, and what it may be given; nothing where nobody knows."""

    name: str
    role: Role
    values: tuple[Any, ...]
    required: bool

    @property
    def is_asked_for(self) -> bool:
        """Whether it needs a value that nobody can know."""
        return not self.values


def slots(maker: Any, given: Mapping[str, Any]) -> list[Slot]:
    """The arguments that are not given, of a class or a function that returns a module.

    Raises ValueError or TypeError where it has no signature.
    """
    parameters, own = roles.parameters(maker), roles.own_parameters(maker)
    return [
        _slot(name, p, parameters, maker, inherited=name not in own)
        for name, p in parameters.items()
        if name not in given
    ]


def missing(maker: Any, error: BaseException | None) -> list[Slot]:
    """The arguments that a constructor's own complaint names, none of them with a value."""
    found = re.search(r"missing \d+ required (?:positional|keyword-only) arguments?: (.*)", str(error))
    names = re.findall(r"'(\w+)'", found[1]) if found and isinstance(error, TypeError) else []
    return [Slot(name, "", (), required=True) for name in names if name in roles.parameters(maker)]


def _slot(
    name: str,
    parameter: inspect.Parameter,
    among: Mapping[str, inspect.Parameter],
    maker: Any,
    *,
    inherited: bool,
) -> Slot:
    """``inherited`` is one of a base class, which the class itself may give: it need not be given."""
    role = roles.role_of(name, parameter, among)
    required = roles.is_required(parameter)
    values = (
        _required(name, role, parameter, maker) if required else _defaulted(name, role, parameter.default)
    )
    if inherited and required:
        return Slot(name, role, (*values, LEFT), required=False)
    return Slot(name, role, values, required)


def _required(name: str, role: Role, parameter: inspect.Parameter, maker: Any) -> tuple[Any, ...]:
    match role:
        case "in" | "alone":
            listed = ("=[C]", "=[C, C]", "=[C, C, C, C]")
            wants_list = any(
                word in str(parameter.annotation).lower() for word in ("list", "sequence", "tuple")
            )
            return (*listed, "=C") if wants_list else ("=C", *listed) if name.endswith("s") else ("=C",)
        case "out":
            expansion = getattr(maker, "expansion", 1)
            narrow = (
                (f"=C//{expansion}",) if name == "planes" and type(expansion) is int and expansion > 1 else ()
            )
            return (*narrow, "=C")
        case "sides":
            return ("=(H, W)", "=H", "=[H, W]")
        case "height":
            return ("=H",)
        case "width":
            return ("=W", "=W//2 + 1")
        case "positions":
            return ("=H*W",)
        case "axes":
            return (2,)
        case "neutral":
            return roles.neutral(name)
        case "offline":
            return (None, False)
    return ()


def _defaulted(name: str, role: Role, default: Any) -> tuple[Any, ...]:
    match role:
        case "in" | "alone":
            if isinstance(default, list | tuple):
                return (f"=[{', '.join('C' * len(default))}]", LEFT) if default else (LEFT,)
            if type(default) is int:
                return ("=C", LEFT)
            return (LEFT, "=C")
        case "sides":
            number = isinstance(default, int)
            return (LEFT, *(("=H", "=(H, W)") if number else ("=(H, W)", "=H")))
        case "height":
            return (LEFT, "=H")
        case "width":
            return (LEFT, "=W", "=W//2 + 1")
        case "positions":
            return (LEFT, "=H*W")
        case "axes":
            return (LEFT, 2)
        case "offline":
            return (False,) if default is True else (None,) if default else (LEFT,)
        case "neutral":
            return (LEFT, *roles.neutral(name)) if default is None else (LEFT,)
    return (LEFT,)


def combinations(wanted: list[Slot]) -> Iterator[dict[str, Any]]:
    """Ways to fill the slots, those with the fewest departures from the first choice first."""
    ranked = (
        sorted(
            product(*(range(len(slot.values)) for slot in wanted[:12])),
            key=lambda choice: (sum(choice), choice[::-1]),
        )
        if wanted
        else [()]
    )
    for choice in ranked[:MAX_COMBINATIONS]:
        pairs = [(slot, slot.values[index]) for slot, index in zip(wanted, choice, strict=False)]
        pairs += [(slot, slot.values[0]) for slot in wanted[12:]]
        yield {slot.name: value for slot, value in pairs if value is not LEFT}
