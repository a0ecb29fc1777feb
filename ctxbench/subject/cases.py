"""From what a verb is asked for to cases: every subject at every width, size and form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

from ctxbench.errors import UserError
from ctxbench.subject import bind, registry, resolve
from ctxbench.subject.case import Case, Layout, Mode, validate
from ctxbench.subject.presets import Preset, Row, default, preset, presets

if TYPE_CHECKING:
    from torch import nn

T = TypeVar("T")
Size = int | tuple[int, int]
Modules: TypeAlias = "str | type[nn.Module] | Iterable[str | type[nn.Module]]"

RESERVED = ("channels", "size", "implementation")
"""Constructor arguments that conditions of a case fill."""


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
) -> list[Case]:
    """Spell out a sweep: every module at every number of channels and every size (H = W, or (H, W)).

    A module is built with its own paper's defaults, changed by ``options`` (``{"rank": 32}`` for every
    module, ``{"reconet.rank": 32}`` for one, a class by its bare name). With ``preset`` it is built as that
    preset has it, changed likewise. No modules are all of the preset's, by default of the first preset.
    ``implementations`` are by default the fast form, or the only one there is.

    A class stands for the place it is defined in: each case builds its own, in a process of its own. Raises
    UserError where a case makes no sense, or the preset has no such module.
    """
    wanted = _wanted(modules, preset)
    chosen = _share_out(options or {}, [one.name for one in wanted])
    spelled_out = []
    for name, row in wanted:
        first = bind.implementations(name)[0] if name in registry.SPECS else registry.SINGLE
        forms = (
            [implementations]
            if isinstance(implementations, str) and implementations
            else implementations or (first,)
        )
        for width, size, form in product(listed(channels), listed(sizes), forms):
            height, breadth = size if isinstance(size, tuple) else (size, size)
            own = {**(row.options(width) if row else {}), **chosen[name]}
            case = Case(
                module=resolve.canonical(name),
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
                rule_options=dict(_rule_options(name, width, own)),
            )
            validate(case)
            spelled_out.append(case)
    return spelled_out


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
        if bare in RESERVED:
            raise UserError(f"{bare} is no option of a module here: it has an argument of its own")
        owners = [name for name in names if not owner or owner in (name, name.rpartition(":")[2])]
        if not owners:
            raise UserError(f"the option {key} is for {owner!r}, which is not among {', '.join(names)}")
        for name in owners:
            shares[name][bare] = value
    return shares


def listed(values: int | Sequence[T]) -> Sequence[int | T]:
    """A single value as a list of it; one that is of no use at all is refused when its case is checked."""
    return values if isinstance(values, (list, tuple, range)) else [values]  # type: ignore[list-item]
