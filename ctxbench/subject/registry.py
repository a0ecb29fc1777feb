"""The names of context modules, and what is known of each without building it. Imports no torch.

A name is built in (``reconet``), registered with :func:`register`, or an entry point of the group
``ctxbench.modules`` of an installed package. A built-in one has aliases: its title, its class, its file and
those of its :class:`Spec`. Which class is behind a name: :mod:`ctxbench.subject.resolve`.
"""

from __future__ import annotations

import os
import sys
from functools import cache

from ctxbench.errors import UserError
from ctxbench_modules import FAMILIES, SPECS, Spec

TYPE_CHECKING = False  # typing itself takes as long to import as Python to start
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from torch import nn

    T = TypeVar("T", bound="type[nn.Module]")

__all__ = [
    "BUILT_IN",
    "FAMILIES",
    "SINGLE",
    "SPECS",
    "Spec",
    "bibliography",
    "catalogue",
    "examples",
    "named",
    "names",
    "nearest",
    "place",
    "register",
    "registered_class",
    "spec",
]

ENTRY_POINT_GROUP = "ctxbench.modules"
SINGLE = "single"
"""The form of a module that has one."""
HEAD = Spec("head", "head", "ctxbench.networks.block_head:Head", "", 0, "", "")
"""What puts layers around any block, by its name in an expression; it is no module of a paper."""
BUILT_IN = {**SPECS, HEAD.name: HEAD}
"""What no other module can be called."""
UNKNOWN: dict[str, Any] = {"year": 0, "url": "", "complexity": "", "forms": (SINGLE,)}
"""What is known of a module that is not built in."""

_registered: dict[str, Spec] = {}
_classes: dict[str, type[nn.Module]] = {}  # by target, where this process has the class already


def register(
    name: str, *, title: str = "", paper: str = "", year: int = 0, url: str = "", complexity: str = ""
) -> Callable[[T], T]:
    """Class decorator: make a module available to ``ctxbench`` under ``name`` in this process.

    The keywords are what ``ctxbench list`` and the tables say of it; ``complexity`` is the order that its
    paper claims, such as ``"O(CHW)"``. Raises ValueError if the name is taken.
    """

    def add(cls: T) -> T:
        from ctxbench.subject.imports import PREFIX

        if cls.__module__.startswith(
            PREFIX
        ):  # a file that was asked for by its place, or written from a cell
            return cls
        target = place(cls)
        if (taken := _known().get(name)) and taken.target != target:
            raise ValueError(f"the module name {name!r} is taken by {taken.target}")
        _registered[name] = Spec(name, title or name, target, paper, year, url, complexity, (SINGLE,))
        _classes[target] = cls
        return cls

    return add


def place(cls: type[nn.Module]) -> str:
    """Where a class can be imported from: ``package.module:Class``, or the script that is being run.

    One typed at a prompt or in a notebook is written into a file (:mod:`ctxbench.subject.cell`). Raises
    UserError for a class made inside a function, and where that file cannot be written.
    """
    script = getattr(sys.modules["__main__"], "__file__", None)
    home = cls.__module__
    if home == "__main__" and script is not None and os.path.isfile(script):  # not <stdin>
        home = os.path.realpath(script)
    if "<locals>" in cls.__qualname__:
        raise UserError(f"{cls.__qualname__} cannot be imported by another process: define it in a file")
    if home == "__main__":
        from ctxbench.subject import cell

        return cell.place(cls)
    return f"{home}:{cls.__qualname__}"


def _specs() -> dict[str, Spec]:
    return {**SPECS, **{k: v for k, v in {**_entry_points(), **_registered}.items() if k not in BUILT_IN}}


def _known() -> dict[str, Spec]:
    """The modules, and the head, which is not listed with them."""
    return {**_specs(), **BUILT_IN}


def _offers_modules(folder: str) -> bool:
    """Whether a distribution installed in ``folder`` has entry points of our group."""
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        file = os.path.join(folder, name, "entry_points.txt")
        if name.endswith("-info") and os.path.isfile(file):
            with open(file, encoding="utf-8") as text:
                if f"[{ENTRY_POINT_GROUP}]" in text.read():
                    return True
    return False


@cache
def _entry_points() -> dict[str, Spec]:
    if not any(map(_offers_modules, sys.path)):
        return {}  # the usual case, found out in a tenth of the time that importing importlib.metadata takes
    from importlib.metadata import entry_points

    def distribution(point: Any) -> str:
        return f"{point.dist.name} {point.dist.version}" if point.dist else ""

    return {
        point.name: Spec(point.name, point.name, point.value, distribution(point), **UNKNOWN)
        for point in entry_points(group=ENTRY_POINT_GROUP)
    }


def catalogue(family: str | None = None, since: int = 0, words: str = "") -> str:
    """The registered modules as text, a line each: name, title, family, claimed complexity, paper.

    By family, or those of one ``family`` alone; only papers of the year ``since`` or later, and so without
    the modules whose year is not known; with ``words``, those with each of them in their names, aliases or
    paper. Raises UserError for a family there is not.
    """
    if family is not None and family not in FAMILIES:
        raise UserError(f"no family {family!r}; there are: {', '.join(FAMILIES)}")
    chosen = [s for s in _specs().values() if family in (None, s.family) and s.year >= since]
    sought = [_plain(word) for word in words.split()]
    chosen = [s for s in chosen if all(map(_has_word(s), sought))]
    rows = [(s.name, s.title, s.family, s.complexity, f"{s.paper} {s.year or ''}".strip()) for s in chosen]
    widths = [max(map(len, column)) for column in list(zip(*rows, strict=True))[:4]]
    lines = ("  ".join([*map(str.ljust, row, widths), row[4]]) for row in rows)
    return "".join(f"{line}\n" for line in lines)


def bibliography() -> str:
    """The papers of the built-in modules in BibTeX, under the keys that their specs cite."""
    from importlib.resources import files

    return files("ctxbench_modules").joinpath("papers.bib").read_text(encoding="utf-8")


def names() -> list[str]:
    """Every registered name: built in first, family by family."""
    return list(_specs())


def _plain(text: str) -> str:
    """A name as names are compared: without case, spaces, hyphens and underscores."""
    return "".join(text.lower().replace("-", " ").replace("_", " ").split())


def _calls(spec: Spec) -> tuple[str, ...]:
    """All that a module is called: its name and what says most of it first."""
    place, _, cls = spec.target.partition(":")
    return (spec.name, spec.title, cls, *spec.aliases, place.rpartition(".")[2])


def _has_word(spec: Spec) -> Callable[[str], bool]:
    """Whether a plain word begins one of a module's names or aliases, or a word of them or of its paper."""
    calls = _calls(spec)
    plain = [_plain(text) for text in (*calls, *" ".join((*calls, spec.paper)).split())]
    return lambda word: any(text.startswith(word) for text in plain)


@cache
def _aliases() -> dict[str, dict[str, str]]:
    """Of each plain alias the built-in modules it stands for, each with the alias as it is written.

    The file, of which several modules may be, counts where nothing else is called so.
    """
    meant: dict[str, dict[str, str]] = {}
    for spec in SPECS.values():
        for call in _calls(spec)[:-1]:
            meant.setdefault(_plain(call), {}).setdefault(spec.name, call)
    files: dict[str, dict[str, str]] = {}
    for spec in SPECS.values():
        file = _calls(spec)[-1]
        files.setdefault(_plain(file), {})[spec.name] = file
    return files | meant | {_plain(name): {name: name} for name in SPECS}


def named(text: str) -> str:
    """The registered name that ``text`` is or, as an alias, stands for; ``text`` itself where there is none.

    Raises UserError for an alias of several modules.
    """
    if text in _known():
        return text
    meant = list(_aliases().get(_plain(text), ()))
    if len(meant) > 1:
        raise UserError(f"{text!r} is more than one module: name {' or '.join(meant)}")
    return meant[0] if meant else text


def nearest(text: str) -> list[str]:
    """Up to three registered names like ``text``, then those with an alias like it, which stands behind."""
    from difflib import get_close_matches

    near = {name: name for name in get_close_matches(text, names(), cutoff=0.6)}
    for call in get_close_matches(_plain(text), _aliases(), cutoff=0.6):
        for name, written in _aliases()[call].items():
            near.setdefault(name, f"{name} ({written})")
    return list(near.values())[:3] or get_close_matches(text, names(), cutoff=0.4)


def examples() -> str:
    """For one line: the first name of each family, what is not built in, and where to find all."""
    known = _specs()
    shown = {spec.family or name: name for name, spec in reversed(known.items())}
    return f"{', '.join(reversed(shown.values()))}; all {len(known)}: ctxbench list"


def spec(name: str) -> Spec | None:
    """What is known of a registered module, by its name or an alias; None for a class given by its place.

    Raises UserError as :func:`named` does.
    """
    return _known().get(named(name))


def registered_class(target: str) -> type[nn.Module] | None:
    """The class that :func:`register` was given with this place, where this process has it."""
    return _classes.get(target)


def registered_target(name: str) -> str | None:
    """The place of a class that :func:`register` was given under this name in this process."""
    known = _registered.get(name)
    return known.target if known else None
