"""From what the user typed to a class: a registered name, ``file.py:Class`` or ``package.module:Class``.

Nothing here imports torch before a class is loaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctxbench.errors import UserError
from ctxbench.subject import imports, registry

if TYPE_CHECKING:
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
    spec = registry.spec(name)
    target = spec.target if spec else canonical(name)
    if (registered := registry.registered_class(target)) is not None:
        return registered
    place, _, path = target.rpartition(":")
    home = (
        imports.import_file(Path(place))
        if place.endswith(".py")
        else imports.import_module(place, Path.cwd())
    )
    cls: Any = home
    for part in path.split("."):
        cls = getattr(cls, part, None)
    from torch import nn

    if not (isinstance(cls, type) and issubclass(cls, nn.Module)):
        classes = [k for k, v in vars(home).items() if isinstance(v, type) and issubclass(v, nn.Module)]
        have = ", ".join(classes) or "none"
        what = "is not a class derived from torch.nn.Module" if cls is not None else "is not there"
        raise UserError(f"{path!r} {what} in {place} (modules there: {have})")
    return cls


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
