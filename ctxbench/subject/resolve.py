"""From what the user typed to a class: a registered name, ``file.py:Class`` or ``package.module:Class``.

Nothing here imports torch before a class is loaded.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctxbench.errors import UserError, in_one_line
from ctxbench.subject import registry

if TYPE_CHECKING:
    from types import ModuleType

    from torch import nn


def canonical(name: str) -> str:
    """``name`` in a form that any process on this machine can build.

    Raises UserError, with the nearest names, where nothing is known under ``name``.
    """
    if target := registry.registered_target(name):
        return target
    if name in registry.names():
        return name
    place, colon, cls = name.rpartition(":")
    if not colon or not cls.replace(".", "").isidentifier():
        import difflib

        near = difflib.get_close_matches(name, registry.names(), n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(registry.names())}"
        raise UserError(f"no module named {name!r}; {hint} (or give path/to/file.py:Class)")
    if place.endswith(".py"):
        if not Path(place).is_file():
            raise UserError(f"no file {place!r} (asked for class {cls} in it)")
        return f"{Path(place).resolve()}:{cls}"
    return name


def load(name: str) -> type[nn.Module]:
    """The class behind a name. Raises UserError where it cannot be loaded or is no ``nn.Module``."""
    known = registry.spec(name)
    target = known.target if known else canonical(name)
    if (registered := registry.registered_class(target)) is not None:
        return registered
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

    try:
        source = Path(inspect.getfile(load(name))).read_bytes()
    except (OSError, TypeError):
        return ""
    return hashlib.sha256(source).hexdigest()[:12]


def _import_module(place: str) -> ModuleType:
    if (here := str(Path.cwd())) not in sys.path:  # as `python -m` has it, and a console script has not
        sys.path.append(here)
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
