"""From a name to a spec to a built module. The one importer of the specimens.

A context module is named in one of four ways: by a built-in name (``reconet``), by a name registered with
:func:`register`, by an entry point of the group ``ctxbench.modules``, or by where its class stands:
``path/to/file.py:Class`` or ``package.module:Class``. Nothing here imports torch before a class is loaded.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from ctxbench.errors import UserError, in_one_line
from ctxbench_modules import SPECS, PaperRow, Spec

if TYPE_CHECKING:
    import inspect
    from pathlib import Path
    from types import ModuleType

    from torch import nn

__all__ = [
    "SPECS",
    "PaperRow",
    "Spec",
    "build",
    "canonical",
    "catalogue",
    "implementations",
    "names",
    "options",
    "place",
    "register",
    "spec",
]

ENTRY_POINT_GROUP = "ctxbench.modules"
CHANNEL_ARGUMENTS = ("channels", "in_channels", "dim", "in_dim", "in_planes", "inplanes", "planes", "c")
SINGLE = "single"
UNKNOWN: dict[str, Any] = {"year": 0, "url": "", "complexity": ""}

_registered: dict[str, Spec] = {}
_classes: dict[str, type[nn.Module]] = {}  # by target, where this process has the class already

T = TypeVar("T", bound="type[nn.Module]")


def register(name: str, *, title: str = "", **known: Any) -> Callable[[T], T]:
    """Class decorator: make a module available to ``ctxbench`` under ``name`` in this process.

    ``known`` are further fields of :class:`Spec` (``paper``, ``year``, ``url``, ``complexity``).
    Raises ValueError if the name is taken.
    """

    def add(cls: T) -> T:
        target = place(cls)
        if (taken := _specs().get(name)) and taken.target != target:
            raise ValueError(f"the module name {name!r} is taken by {taken.target}")
        _registered[name] = Spec(name, title or name, target, **{"paper": "", **UNKNOWN, **known})
        _classes[target] = cls
        return cls

    return add


def place(cls: type[nn.Module]) -> str:
    """Where a class can be imported from: ``package.module:Class``, or the script that is being run.

    Raises UserError for a class made inside a function, or typed at a prompt.
    """
    script = getattr(sys.modules["__main__"], "__file__", None)
    home = cls.__module__
    if home == "__main__" and script is not None:
        home = os.path.realpath(script)
    if home == "__main__" or "<locals>" in cls.__qualname__:
        raise UserError(f"{cls.__qualname__} cannot be imported by another process: define it in a file")
    return f"{home}:{cls.__qualname__}"


def _specs() -> dict[str, Spec]:
    return {**SPECS, **{k: v for k, v in {**_entry_points(), **_registered}.items() if k not in SPECS}}


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


def catalogue() -> str:
    """The registered modules as text, a line each: name, title, claimed complexity, paper."""
    rows = [(s.name, s.title, s.complexity, f"{s.paper} {s.year or ''}".strip()) for s in _specs().values()]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = ("  ".join([*map(str.ljust, row, widths), row[3]]) for row in rows)
    return "".join(f"{line}\n" for line in lines)


def names() -> list[str]:
    """Every registered name: built in first, in the order of the catalogue."""
    return list(_specs())


def spec(name: str) -> Spec | None:
    """What is known of a registered module; None for a class given by its place."""
    return _specs().get(name)


def canonical(name: str) -> str:
    """``name`` in a form that any process on this machine can build.

    Raises UserError, with the nearest names, where nothing is known under ``name``.
    """
    from pathlib import Path

    if name in _registered:
        return _registered[name].target
    if name in _specs():
        return name
    place, colon, cls = name.rpartition(":")
    if not colon or not cls.replace(".", "").isidentifier():
        import difflib

        near = difflib.get_close_matches(name, names(), n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names())}"
        raise UserError(f"no module named {name!r}; {hint} (or give path/to/file.py:Class)")
    if place.endswith(".py"):
        if not Path(place).is_file():
            raise UserError(f"no file {place!r} (asked for class {cls} in it)")
        return f"{Path(place).resolve()}:{cls}"
    return name


def load(name: str) -> type[nn.Module]:
    """The class behind a name. Raises UserError where it cannot be loaded or is no ``nn.Module``."""
    from pathlib import Path

    known = spec(name)
    target = known.target if known else canonical(name)
    if target in _classes:
        return _classes[target]
    place, _, path = target.rpartition(":")
    home = _import_file(Path(place)) if place.endswith(".py") else _import_module(place)
    found: Any = home
    for part in path.split("."):
        found = getattr(found, part, None)
    from torch import nn

    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        classes = [k for k, v in vars(home).items() if isinstance(v, type) and issubclass(v, nn.Module)]
        have = ", ".join(classes) or "none"
        what = "is not a class derived from torch.nn.Module" if found is not None else "is not there"
        raise UserError(f"{path!r} {what} in {place} (modules there: {have})")
    return found


def source_digest(name: str) -> str:
    """Twelve hex digits of the file, as it now is, that defines a class given by its place; "" without one.

    Raises UserError as :func:`load` does.
    """
    import hashlib
    import inspect
    from pathlib import Path

    try:
        source = Path(inspect.getfile(load(name))).read_bytes()
    except (OSError, TypeError):
        return ""
    return hashlib.sha256(source).hexdigest()[:12]


def _import_module(place: str) -> ModuleType:
    if os.getcwd() not in sys.path:  # as `python -m` has it, and a console script has not
        sys.path.append(os.getcwd())
    try:
        return importlib.import_module(place)
    except (Exception, SystemExit) as error:
        raise UserError(f"cannot import {place!r}: {in_one_line(error)}") from error


def _import_file(path: Path) -> ModuleType:
    import hashlib
    from importlib.util import module_from_spec, spec_from_file_location

    path = path.resolve()
    if (path.parent / "__init__.py").is_file():
        return _import_from_package(path)
    name = f"_ctxbench_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    module_spec = spec_from_file_location(name, path)
    if module_spec is None or module_spec.loader is None or not path.is_file():
        raise UserError(f"no Python file at {path}")
    module = module_from_spec(module_spec)
    sys.modules[name] = module
    sys.path.append(str(path.parent))  # so that the file can import its neighbours, now or when it is called
    try:
        module_spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise UserError(f"{path} cannot be imported: {in_one_line(error)}") from error
    return module


def _import_from_package(path: Path) -> ModuleType:
    """A file in a package, under its name there, so that its relative imports work."""
    root, parts = path.parent, [path.stem]
    while (root / "__init__.py").is_file():
        root, parts = root.parent, [root.name, *parts]
    sys.path.insert(0, str(root))
    try:
        return importlib.import_module(".".join(parts))
    except (Exception, SystemExit) as error:
        raise UserError(f"{path} cannot be imported: {in_one_line(error)}") from error
    finally:
        sys.path.remove(str(root))


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
    """``("fast", "published")``, or ``("single",)`` for a module that has one form."""
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

    ``size`` is (H, W); it reaches only modules whose weights depend on it. A stranger's class is given its
    channels under whichever of the usual names its constructor has; what else it needs comes as options.

    Raises UserError naming the option or the value that does not fit.
    """
    cls = load(name)
    accepted = _parameters(cls)
    open_ended = any(p.kind is p.VAR_KEYWORD for p in accepted.values())
    arguments: dict[str, Any] = {}
    if (channel_argument := _channel_argument(cls)) is not None:
        arguments[channel_argument] = channels
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
