"""From what a verb is asked for to cases: every subject at every width, size and form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

from ctxbench.errors import UserError
from ctxbench.subject import bind, registry, resolve
from ctxbench.subject.case import Case, Layout, Mode, validate
from ctxbench.subject.expression import MARK
from ctxbench.subject.interface import Interface, asked_for
from ctxbench.subject.presets import Preset, Row, default, preset, presets

if TYPE_CHECKING:
    from torch import nn

T = TypeVar("T")
Size = int | tuple[int, int]
Modules: TypeAlias = "str | type[nn.Module] | Iterable[str | type[nn.Module]]"


def cases(
    modules: Modules = (),
    *,
    preset: str | None = None,
    channels: int | Sequence[int] = 512,
    sizes: int | Sequence[Size] = 64,
    options: Mapping[str, Any] | None = None,
    implementations: str | Sequence[str] = (),
    batch: int = 1,
    dtype: str = "float32",
    layout: Layout = "contiguous",
    mode: Mode = "infer",
    device: str = "cpu",
    compile: bool = False,
    inputs: str | None = None,
    output: str | int | None = None,
) -> list[Case]:
    """Spell out a sweep: every module at every number of channels and every size (H = W, or (H, W)).

    A module is built with its own paper's defaults, changed by ``options`` (``{"rank": 32}`` for every
    module, ``{"reconet.rank": 32}`` for one, a class by its bare name). With ``preset`` it is built as that
    preset has it, changed likewise. No modules are all of the preset's, by default of the first preset.
    ``implementations`` are by default the fast form, or the only one there is. How a block that is not built
    in is built and called is found out by trial at the first size, and said in each case's ``binding``;
    ``inputs`` and ``output`` say how it is called (:mod:`ctxbench.subject.interface`).

    A class stands for the place it is defined in: each case builds its own, in a process of its own. Raises
    UserError where a case makes no sense, or the preset has no such module.
    """
    wanted = _wanted(modules, preset)
    chosen = _share_out(options or {}, [one.name for one in wanted])
    forms = [implementations] if isinstance(implementations, str) and implementations else implementations
    widths, squares = listed(channels), [sides(size) for size in listed(sizes)]
    asked = asked_for(inputs, output)
    if asked is not None and (ours := [one.name for one in wanted if bind.is_built_in(one.name)]):
        raise UserError(f"inputs and output are for blocks that are not built in, as {ours[0]} is")
    strangers = [name for name in chosen if not bind.is_built_in(name)]
    shape = (batch, next(iter(widths), 1), *next(iter(squares), (1, 1)))
    found = _found_out(strangers, chosen, asked, shape)
    spelled_out: list[Case] = []
    for name, row in wanted:
        subject, binding, _ = found.get(name, bind.Answer(name, None))
        for width, (height, breadth), form in product(widths, squares, forms or (_first_form(name),)):
            own = {**(row.options(width) if row else {}), **chosen[name]}
            case = Case(
                module=resolve.canonical(subject),
                channels=width,
                height=height,
                width=breadth,
                options=own,
                implementation=form,
                batch=batch,
                dtype=dtype,
                layout=layout,
                mode=mode,
                device=device,
                compile=compile,
                binding=binding,
                rule_options=dict(_rule_options(name, width, own)),
            )
            validate(case)
            spelled_out.append(case)
    return spelled_out


def _first_form(name: str) -> str:
    return bind.implementations(name)[0] if bind.is_built_in(name) else registry.SINGLE


def _found_out(
    names: Sequence[str],
    options: Mapping[str, Mapping[str, Any]],
    asked: Interface | None,
    shape: tuple[int, int, int, int],
) -> dict[str, bind.Answer]:
    """How subjects that are not ours are built and called, all asked for in one other process."""
    for name in names:
        validate(Case(resolve.canonical(name), *shape[1:], batch=shape[0]))
    questions = [bind.Question(resolve.canonical(name), options[name], asked, shape) for name in names]
    return dict(zip(names, bind.ask(questions), strict=True)) if questions else {}


class _Wanted(NamedTuple):
    name: str
    row: Row | None
    """The preset's, where one was asked for."""


def _wanted(modules: Modules, of_preset: str | None) -> list[_Wanted]:
    names = [_name(module) for module in ([modules] if isinstance(modules, (str, type)) else modules)]
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
        return module
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
        owners = [name for name in names if not owner or owner in _names_of(name)]
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


def sides(size: Size) -> tuple[int, int]:
    """A size as (H, W); one number is a square."""
    return size if isinstance(size, tuple) else (size, size)


def listed(values: int | Sequence[T]) -> Sequence[int | T]:
    """A single value as a list of it; one that is of no use at all is refused when its case is checked."""
    return values if isinstance(values, (list, tuple, range)) else [values]  # type: ignore[list-item]
