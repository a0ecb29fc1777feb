"""Find out by trial how a block is built and called, at sizes that tell channels, height and width apart."""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import product
from typing import Any

from ctxbench.errors import UserError
from ctxbench.subject import resolve
from ctxbench.subject.binding import advice, candidates
from ctxbench.subject.binding.attempts import BUDGET_S, TRIED, Search
from ctxbench.subject.binding.candidates import LEFT, Slot, combinations, slots
from ctxbench.subject.binding.layouts import ORDER
from ctxbench.subject.binding.roles import parameters
from ctxbench.subject.binding.trial import Ran, Sizes
from ctxbench.subject.bound import Binding
from ctxbench.subject.expression import SIZES, is_expression
from ctxbench.subject.interface import Interface
from ctxbench.subject.resolve import Target

PROBE_SIDES = ((32, 48), (48, 80), (96, 160))
"""Sizes no block has for a default, which windows and strides of 2, 4, 8 and 16 divide."""


def probe(shape: tuple[int, int, int, int]) -> Sizes:
    """Sizes for trials: a batch of two, the channels asked for, and sides that differ from them."""
    sides = next(sides for sides in PROBE_SIDES if shape[1] not in sides)
    return dict(zip(SIZES, (2, shape[1], *sides), strict=True))


def second_probe(shape: tuple[int, int, int, int]) -> Sizes:
    """The sizes asked for, with a batch of two; where channels equal a side, a square that they do not."""
    sides = shape[2:] if shape[1] not in shape[2:] else (probe(shape)["W"],) * 2
    return dict(zip(SIZES, (2, shape[1], *sides), strict=True))


def find(
    target: Target, options: Mapping[str, Any], asked: Interface | None, shape: tuple[int, int, int, int]
) -> Binding:
    """How a subject is built and called for a map of ``shape`` (N, C, H, W).

    Raises UserError where an option is not one of its arguments, where values are needed that nobody can know
    (all in one line, with an example that was tried), or where it does not run.
    """
    given = _given(target, options)
    search = Search(target, given, asked, shape)
    open_slots = [] if target.is_instance else slots(target.maker, given)
    missing = [slot for slot in open_slots if slot.is_asked_for]
    wanted = [slot for slot in open_slots if not slot.is_asked_for]
    sizes_tried = [probe(shape), second_probe(shape)]
    if missing:
        raise advice.asks_for(search, missing, wanted, sizes_tried)
    for real, sizes in product((False, True), sizes_tried):
        if real and not search.real:
            search.failures.clear()  # what real tensors say is the block's own, and nothing of fake ones
        search.real = real
        found = _first(search, wanted, sizes)
        if found is not None:
            binding, needed = _settled(search, wanted, sizes, *found)
            if needed:
                raise advice.asks_for(search, needed, [s for s in wanted if s not in needed], sizes_tried)
            if binding.is_guess and asked is None and not given:
                raise advice.says_nothing(search, binding)
            if not real:  # at the sizes asked for it might compute for long, or not fit
                _check_at(search, binding, shape)
            return binding
    search.real = False
    if shape[1] in shape[2:] and (only := _at_equal_sides(search, wanted, shape)) is not None:
        return only
    named = [] if target.is_instance else candidates.missing(target.maker, search.failed_build)
    if named and not search.failures:
        raise advice.asks_for(search, named, [s for s in wanted if s.name not in given], sizes_tried)
    raise advice.does_not_run(search, wanted, shape)


def _at_equal_sides(search: Search, wanted: list[Slot], shape: tuple[int, int, int, int]) -> Binding | None:
    """Where channels equal a side, and a block runs at these sizes alone: its one layout, if it has one.

    Raises UserError where it takes several, which no count would tell apart.
    """
    sizes = dict(zip(SIZES, (2, *shape[1:]), strict=True))
    for arguments in combinations(wanted):
        if search.attempt(arguments, sizes) is None:
            continue
        every = [search.attempt(arguments, sizes, [f"x: {layout}"]) for layout in ORDER]
        maps = [ran.interface for ran in every if ran is not None and ran.is_map]
        if len(maps) == 1:
            return Binding(arguments, maps[0].inputs, maps[0].output)
        raise advice.fits_several(search, [interface.inputs for interface in maps])
    return None


def _given(target: Target, options: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the call and the options. Raises UserError for one that is not there."""
    name = resolve.label(target.subject)
    if twice := [key for key in options if key in target.given]:
        raise UserError(f"{twice[0]} stands in {name} and in -o {twice[0]}: give it once")
    if target.is_instance:
        if options:
            raise UserError(f"{name} is a module that is there already: it takes no options")
        return {}
    try:
        accepted = parameters(target.maker)
    except (TypeError, ValueError) as error:
        raise UserError(f"{name} does not say which arguments it takes") from error
    open_ended = any(p.kind is p.VAR_KEYWORD for p in _signature(target).values())
    for key in options:
        if key not in accepted and not open_ended:
            raise UserError(f"{name} has no option {key!r}; its options: {', '.join(accepted) or 'none'}")
    return {**target.given, **options}


def _signature(target: Target) -> Mapping[str, Any]:
    import inspect

    return inspect.signature(target.maker).parameters


def _first(search: Search, wanted: list[Slot], sizes: Sizes) -> tuple[dict[str, Any], Ran] | None:
    """The first combination of arguments with which the block gives a map; else the first that runs."""
    second: tuple[dict[str, Any], Ran] | None = None
    for number, arguments in enumerate(combinations(wanted)):
        # the likeliest is tried, however long other trials took; computed for real it might take minutes
        if search.is_over and (number or search.real):
            break
        ran = search.attempt(arguments, sizes)
        if ran is not None and ran.is_map:
            return arguments, ran
        if ran is not None and second is None:
            second = arguments, ran
    return second


def _settled(
    search: Search, wanted: list[Slot], sizes: Sizes, arguments: dict[str, Any], ran: Ran
) -> tuple[Binding, list[Slot]]:
    """The binding, with values that are tied to nothing taken back; and the arguments to ask for instead.

    Each value is doubled: where the block then fails, the value is tied to the map. Where it runs as before
    and costs something else, the value was an inner width, or a kernel, that nobody can know.
    """
    needed: list[Slot] = []
    unused: list[str] = []
    first = dict(arguments)
    for slot in wanted:
        value = arguments.get(slot.name, LEFT)
        if slot.role in ("neutral", "offline", "axes", "") or not is_expression(value):
            continue
        if slot.role == "out":
            if ran.channels != sizes["C"] and ran.is_map:
                (needed.append(slot) if slot.required else arguments.pop(slot.name))
            continue
        doubled = search.attempt({**arguments, slot.name: _doubled(value)}, sizes, [ran.interface.inputs])
        if doubled is None or doubled.shape != ran.shape:
            continue
        if doubled.cost == ran.cost:
            unused.append(slot.name)
        elif slot.role == "in" or "channel" in slot.name:
            continue  # such as a kernel whose size follows from the channels: the name leaves no doubt
        elif slot.required:
            needed.append(slot)
        else:
            del arguments[slot.name]
    again = search.attempt(arguments, sizes) if not needed and arguments != first else ran
    interface = (again or ran).interface
    return Binding(dict(arguments), interface.inputs, interface.output, tuple(unused)), needed


def _doubled(value: str) -> str:
    """An expression of sizes with each of them doubled."""
    import re

    return re.sub(r"\b([CHW])\b", r"(2*\1)", value)


def _check_at(search: Search, binding: Binding, shape: tuple[int, int, int, int]) -> None:
    """Run what was bound at the sizes asked for. Raises UserError where it does not run there."""
    sizes = dict(zip(SIZES, shape, strict=True))
    try:
        ran = search.tried(binding.arguments, sizes, [binding.inputs])
    except TRIED as error:
        search.failures = {binding.inputs: error}
        ran = None
    if ran is None:
        search.until = time.process_time() + BUDGET_S / 2
        raise advice.does_not_fit(search, binding, sizes)
