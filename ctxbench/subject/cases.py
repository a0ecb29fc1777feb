"""From what a verb is asked for to cases: every subject under every condition, as a grid or a file has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from ctxbench.errors import UserError
from ctxbench.subject import axes, bind, registry, resolve
from ctxbench.subject.axes import Batch, Size
from ctxbench.subject.case import Case, Layout, Mode, Runtime, validate
from ctxbench.subject.expression import MARK
from ctxbench.subject.interface import Interface, asked_for
from ctxbench.subject.presets import Preset, Row, default, preset, presets
from ctxbench.typed import converted, read_toml

if TYPE_CHECKING:
    from torch import nn

Options: TypeAlias = "Mapping[str, Any] | Sequence[Mapping[str, Any]]"
Modules: TypeAlias = "str | type[nn.Module] | Iterable[str | type[nn.Module]]"

ALL = "all"
"""The word for every registered module."""


def cases(
    modules: Modules = (),
    *,
    preset: str | None = None,
    channels: int | Sequence[int] = 512,
    sizes: int | Sequence[Size] = 64,
    options: Options = (),
    implementations: str | Sequence[str] = (),
    batch: Batch | Sequence[Batch] = 1,
    dtype: str | Sequence[str] = "float32",
    layout: Layout | Sequence[Layout] = "contiguous",
    mode: Mode | Sequence[Mode] = "infer",
    device: str | Sequence[str] = "cpu",
    threads: int | Sequence[int] | None = None,
    runtime: Runtime | Sequence[Runtime] = "eager",
    where: str = "",
    inputs: str | None = None,
    output: str | int | None = None,
) -> list[Case]:
    """Spell out a grid: every module under every combination of its conditions, each a value or a list.

    A size is H = W, or (H, W). A batch ``"fit:512MiB"`` is the largest whose predicted peak fits so much
    memory, which is found before the case is measured (:mod:`ctxbench.measure.worker.fit`). A dtype may be
    short, as in :data:`ctxbench.subject.axes.SHORT`. ``threads`` are CPU threads, by default as many as each
    library takes by itself. ``where`` says which cells of the grid are kept
    (:func:`ctxbench.subject.axes.condition`). The order is that of the arguments, the last varying fastest,
    and each case is there once.

    A module is built with its own paper's defaults, changed by ``options`` (``{"rank": 32}`` for every
    module, ``{"reconet.rank": 32}`` for one, a class by its bare name); several mappings are an axis. With
    ``preset`` it is built as that preset has it, changed likewise. ``"all"`` stands for every registered
    module, or every one of the preset. No modules are all of the preset's, by default of the first preset.
    ``implementations`` are by default the fast form, or the only one there is;
    where several are asked for, a module that has one form is there in that one. How a block that is not
    built in is built and called is found out by trial at the first size, and said in each case's
    ``binding``; ``inputs`` and ``output`` say how it is called (:mod:`ctxbench.subject.interface`).

    A class stands for the place it is defined in: each case builds its own, in a process of its own. Raises
    UserError where a case makes no sense, the preset has no such module, or ``where`` keeps nothing.
    """
    wanted = _wanted(modules, preset)
    names = [one.name for one in wanted]
    variants = [_share_out(one, names) for one in _listed_options(options)]
    asked = asked_for(inputs, output)
    if asked is not None and (ours := [name for name in names if bind.is_built_in(name)]):
        raise UserError(f"inputs and output are for blocks that are not built in, as {ours[0]} is")
    forms = listed(implementations) if implementations else ()
    widths, squares = listed(channels), [axes.sides(size) for size in listed(sizes)]
    batches = listed(batch)
    conditions: dict[str, Sequence[Any]] = {
        "dtype": [axes.word("dtype", one) for one in listed(dtype)],
        "layout": listed(layout),
        "mode": listed(mode),
        "device": listed(device),
        "threads": listed(threads),
        "runtime": listed(runtime),
    }
    first = next(iter(batches), 1)
    # where the batch is yet to be found, trials are held at a batch of two, as they are before any
    shape = (2 if axes.is_fit(first) else first, next(iter(widths), 1), *next(iter(squares), (1, 1)))
    found = _found_out(variants, asked, shape)
    spelled_out: dict[str, Case] = {}
    for name, row in wanted:
        answers = [found.get((name, number), bind.Answer(name, None)) for number in range(len(variants))]
        own_forms = _forms(name, answers[0].forms, forms)
        grid = product(widths, squares, range(len(variants)), own_forms, batches, *conditions.values())
        for width, (height, breadth), number, form, given, *others in grid:
            own = {**(row.options(width) if row else {}), **variants[number][name]}
            case = Case(
                module=resolve.canonical(answers[number].subject),
                channels=width,
                height=height,
                width=breadth,
                options=own,
                implementation=form,
                binding=answers[number].binding,
                rule_options=dict(_rule_options(name, width, own)),
                **_batch(given),
                **dict(zip(conditions, others, strict=True)),
            )
            validate(case)
            spelled_out.setdefault(case.id, case)
    return kept(list(spelled_out.values()), where)


def kept(grid: list[Case], where: str) -> list[Case]:
    """The cells of a grid for which a condition holds; all where there is none.

    Raises UserError where it cannot be read, or leaves out all.
    """
    if not where:
        return grid
    holds = axes.condition(where, dict.fromkeys(name for case in grid for name in case.options))
    kept = [case for case in grid if holds(case)]
    if grid and not kept:
        raise UserError(f"--where {where!r} leaves out all {len(grid)} cases")
    return kept


def _batch(given: Batch) -> dict[str, Any]:
    """The fields of a case for a batch, which may be given by the memory that it is to fit."""
    return {"batch": 1, "fit": axes.fit_of(given)} if axes.is_fit(given) else {"batch": given}


def _listed_options(options: Options) -> Sequence[Mapping[str, Any]]:
    return [options] if isinstance(options, Mapping) else options or [{}]


def _forms(name: str, of_stranger: Sequence[str], asked: Sequence[str]) -> Sequence[str]:
    """The forms that a module is measured in; where several are asked for, those of them that it has."""
    there = bind.implementations(name) if bind.is_built_in(name) else of_stranger
    if not asked:
        return (there[0] if bind.is_built_in(name) else registry.SINGLE,)
    if len(asked) > 1 and there == (registry.SINGLE,):
        return there
    return asked


def _found_out(
    variants: Sequence[Mapping[str, Mapping[str, Any]]],
    asked: Interface | None,
    shape: tuple[int, int, int, int],
) -> dict[tuple[str, int], bind.Answer]:
    """How subjects that are not ours are built and called, all asked for in one other process.

    ``variants`` have the options of every subject; an answer is of one of them, by its number.
    """
    strangers = [
        (name, number)
        for number, options in enumerate(variants)
        for name in options
        if not bind.is_built_in(name)
    ]
    for name, _ in strangers:
        validate(Case(resolve.canonical(name), *shape[1:], batch=shape[0]))
    questions = [
        bind.Question(resolve.canonical(name), variants[number][name], asked, shape)
        for name, number in strangers
    ]
    return dict(zip(strangers, bind.ask(questions), strict=True)) if questions else {}


class _Wanted(NamedTuple):
    name: str
    row: Row | None
    """The preset's, where one was asked for."""


def _wanted(modules: Modules, of_preset: str | None) -> list[_Wanted]:
    names = [_name(module) for module in ([modules] if isinstance(modules, (str, type)) else modules)]
    every = [row.module for row in preset(of_preset).rows] if of_preset else registry.names()
    names = [name for given in names for name in (every if given == ALL else [given])]
    chosen: Preset | None = preset(of_preset) if of_preset else None if names else default()
    if chosen is None:
        return [_Wanted(name, None) for name in names]
    rows = [chosen.row(name) for name in names] if names else chosen.rows
    return [_Wanted(row.module, row) for row in rows]


def _rule_options(name: str, channels: int, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Further options for the leaf rule, where a preset has the module in just this configuration."""
    rows = [row for one in presets().values() for row in one.rows if row.module == name]
    return next((row.rule_options for row in rows if dict(row.options(channels)) == dict(options)), {})


def _name(module: str | type[nn.Module]) -> str:
    if isinstance(module, str):
        return registry.named(module)
    if isinstance(module, type):
        return registry.place(module)
    raise UserError(
        f"give a name or a class to profile, not a {type(module).__name__}: each case builds its own"
    )


def _share_out(options: Mapping[str, Any], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Module name to its options: ``KEY`` is for every module, ``MODULE.KEY`` for one of them."""
    shares: dict[str, dict[str, Any]] = {name: {} for name in names}
    for key, value in options.items():
        owner, _, bare = key.rpartition(".")
        owners = [n for n in names if not owner or {owner, registry.named(owner)} & _names_of(n)]
        if not owners:
            raise UserError(f"the option {key} is for {owner!r}, which is not among {', '.join(names)}")
        for name in owners:
            if bare in bind.PROTOCOL and bind.is_built_in(name):
                raise UserError(f"{bare} is no option of {name}: it has an argument of its own here")
            stored = _storable(key, value)
            # JSON has no tuples, and what it has comes back as one: a stranger may insist on a list
            is_listed = isinstance(stored, list) and not bind.is_built_in(name)
            shares[name][bare] = f"{MARK}{stored!r}" if is_listed else stored
    return shares


def _names_of(subject: str) -> set[str]:
    """What an option may call a subject by: as it was typed, or by its bare name."""
    parts = resolve.parts(subject)
    return {subject, parts.name or resolve.label(subject)}


def _storable(key: str, value: Any) -> Any:
    """A value that a record can hold: a class of ``torch.nn`` is named, other objects are refused."""
    if isinstance(value, type) and value.__module__.startswith("torch.nn"):
        return f"{MARK}nn.{value.__name__}"
    if isinstance(value, Mapping):
        return {name: _storable(key, item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_storable(key, item) for item in value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise UserError(
        f"the option {key} is a {type(value).__name__}, which no record can hold: write a function"
    )


@dataclass(frozen=True)
class _Entry:
    """A table ``[[case]]`` of a file: the arguments of :func:`cases`, by the names of the axes."""

    module: str | list[str] = field(default_factory=list)
    preset: str | None = None
    channels: int | list[int] = 512
    size: int | str | list[int | str] = 64
    options: dict[str, Any] | list[dict[str, Any]] = field(default_factory=dict)
    form: str | list[str] = field(default_factory=list)
    batch: Batch | list[Batch] = 1
    dtype: str | list[str] = "float32"
    memory_format: Layout | list[Layout] = "contiguous"
    mode: Mode | list[Mode] = "infer"
    device: str | list[str] = "cpu"
    threads: int | list[int] | None = None
    runtime: Runtime | list[Runtime] = "eager"
    where: str = ""
    inputs: str | None = None
    output: str | int | None = None


_ARGUMENTS = {"module": "modules", "size": "sizes", "form": "implementations", "memory_format": "layout"}
"""Of :func:`cases`, where they are called otherwise."""


@dataclass(frozen=True)
class _File:
    case: list[_Entry] = field(default_factory=list)


def read_cases(path: Path) -> list[Case]:
    """The cases of a TOML file, for what is not one grid: each table ``[[case]]`` is a small one of its own.

    Its keys are ``module``, ``preset``, ``options``, ``where``, ``inputs``, ``output`` and the axes, each a
    value or a list, with the defaults of :func:`cases`. Raises UserError, with the file and the number of the
    case, where one makes no sense.
    """
    try:
        entries = converted(read_toml(path), _File).case
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
    if not entries:
        raise UserError(f"{path} has no table [[case]]")
    spelled_out: dict[str, Case] = {}
    for number, entry in enumerate(entries, start=1):
        try:
            for case in _of_entry(entry):
                spelled_out.setdefault(case.id, case)
        except UserError as error:
            raise UserError(f"{path}, case {number}: {error}") from error
    return list(spelled_out.values())


def _of_entry(entry: _Entry) -> list[Case]:
    given = {_ARGUMENTS.get(name, name): value for name, value in vars(entry).items()}
    sizes = listed(entry.size)
    given["sizes"] = [axes.size_of("size", one) if isinstance(one, str) else one for one in sizes]
    return cases(**given)


def listed(values: Any) -> Sequence[Any]:
    """A single value as a list of it; one that is of no use at all is refused when its case is checked."""
    return values if isinstance(values, (list, tuple, range)) else [values]
