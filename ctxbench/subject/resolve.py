"""From what the user typed to what makes a module: a registered name, a file's or a package's, with a call.

``name``, ``file.py:Class``, ``file.py:make``, ``file.py:instance``, ``file.py`` with one class of its own,
``package.module:Class``; each with the constructor's arguments behind it, where they are given:
``file.py:Block(C, 8, act=nn.GELU)``. Nothing here imports torch before something is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from ctxbench.errors import UserError
from ctxbench.subject import imports, registry
from ctxbench.subject.expression import MARK, parse_call, split_call

if TYPE_CHECKING:
    from torch import nn


class Parts(NamedTuple):
    """A subject's text taken apart: ``block.py:Block(C)`` is its place, its name in there, and its call."""

    place: str
    name: str
    call: str


def parts(subject: str) -> Parts:
    """Take a subject's text apart; of a registered name the place is empty, of a file alone the name is."""
    target, call = split_call(subject)
    if target.endswith(".py"):
        return Parts(target, "", call)
    place, _, name = target.rpartition(":")
    return Parts(place, name, call)


def label(subject: str) -> str:
    """What a subject is called where there is little room: its name with its call."""
    place, name, call = parts(subject)
    return (name or Path(place).stem) + call


@dataclass(frozen=True)
class Target:
    """What makes a module: a class or a function with its parameters, or a module that is there already.

    ``given`` are the arguments of the call, by name; ``names`` those of the file, which a call may use.
    """

    subject: str
    maker: Any
    given: Mapping[str, Any]
    names: Mapping[str, Any]

    @property
    def is_instance(self) -> bool:
        """Whether it is a module that is there already, which takes no arguments."""
        from torch import nn

        return isinstance(self.maker, nn.Module)

    def make(self, arguments: Mapping[str, Any]) -> nn.Module:
        """A new module; of an instance a copy. Raises UserError where it is none, and whatever it raises."""
        from torch import nn

        if self.is_instance:
            from ctxbench.sandbox.fake import real_copy

            return real_copy(self.maker)
        positional, named = _shared_out(self.maker, arguments)
        module = self.maker(*positional, **named)
        if not isinstance(module, nn.Module):
            raise UserError(f"{label(self.subject)} returned {type(module).__name__}, and no torch.nn.Module")
        return module


def _shared_out(maker: Any, arguments: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Arguments by position where they can only be given so; by name else."""
    import inspect

    try:
        parameters = inspect.signature(maker).parameters
    except (TypeError, ValueError):
        return [], dict(arguments)
    only = [name for name, p in parameters.items() if p.kind is p.POSITIONAL_ONLY and name in arguments]
    return [arguments[name] for name in only], {k: v for k, v in arguments.items() if k not in only}


def canonical(name: str) -> str:
    """``name`` in a form that any process on this machine can build.

    Of an alias it is the registered name. Raises UserError, with the nearest names, where nothing is known
    under ``name``, and for an alias of several modules.
    """
    target, call = split_call(name)
    if call:
        positional, keywords = parse_call(call).positional, parse_call(call).keywords
        call = f"({', '.join([*positional, *(f'{key}={value}' for key, value in keywords.items())])})"
    return _canonical(target) + call


def _canonical(name: str) -> str:
    if target := registry.registered_target(name):
        return target
    if known := registry.spec(name):
        return known.name
    place, within, _ = parts(name)
    if place.endswith(".py") and (not within or _is_dotted(within)):
        if not Path(place).is_file():
            raise UserError(f"no file {place!r}" + (f" (asked for {within} in it)" if within else ""))
        return str(Path(place).resolve()) + (f":{within}" if within else "")
    if not place or not _is_dotted(within):
        near = registry.nearest(name)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {registry.examples()}"
        raise UserError(f"no module named {name!r}; {hint} (or give path/to/file.py:Class)")
    return name


def _is_dotted(name: str) -> bool:
    return name.replace(".", "").isidentifier()


def load(subject: str) -> Target:
    """What a subject's text stands for. Raises UserError where it cannot be loaded, or makes no module."""
    import inspect

    text, call = split_call(canonical(subject))
    spec = registry.spec(text)
    found, names, place = _found(spec.target if spec else text)
    text = text if spec else place
    target = Target(text + call, found, {}, names)
    if not call:
        return target
    if target.is_instance:
        raise UserError(f"{text} is a module that is there already: it takes no arguments, as in {call}")
    written = parse_call(call)
    try:
        bound = inspect.signature(found).bind_partial(*written.positional, **written.keywords)
    except TypeError as error:
        raise UserError(f"{label(text)}{call}: {error}") from error
    except ValueError as error:
        raise UserError(f"{label(text)} does not say which arguments it takes") from error
    given: dict[str, Any] = {}
    for key, value in bound.arguments.items():
        kind = bound.signature.parameters[key].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            raise UserError(f"{label(text)} takes its arguments by position alone (*{key}): write a function")
        given |= value if kind is inspect.Parameter.VAR_KEYWORD else {key: value}
    return Target(text + call, found, {key: MARK + value for key, value in given.items()}, names)


def _found(target: str) -> tuple[Any, Mapping[str, Any], str]:
    """What a place holds, the names of its file, and the place with its name written out."""
    from torch import nn

    from ctxbench.sandbox.fake import without_modes

    place, path, _ = parts(target)
    if (registered := registry.registered_class(target)) is not None:
        return registered, _names_beside(registered), target
    with without_modes():  # what a file makes when it is imported is real, whoever asks for it first
        home = (
            imports.import_file(Path(place))
            if place.endswith(".py")
            else imports.import_module(place, Path.cwd())
        )
    if not path:
        path = _one_class(home, place)
    value: Any = home
    for part in path.split("."):
        value = getattr(value, part, None)
    is_module = isinstance(value, nn.Module) or (isinstance(value, type) and issubclass(value, nn.Module))
    is_factory = callable(value) and not isinstance(value, type)
    if not (is_module or is_factory):
        have = ", ".join(_classes(home)) or "none"
        what = "makes no torch.nn.Module" if value is not None else "is not there"
        raise UserError(f"{path!r} {what} in {place} (modules there: {have})")
    return value, vars(home), f"{place}:{path}"


def _names_beside(cls: type) -> Mapping[str, Any]:
    import sys

    return vars(sys.modules[cls.__module__]) if cls.__module__ in sys.modules else {}


def _classes(home: ModuleType) -> list[str]:
    from torch import nn

    return [k for k, v in vars(home).items() if isinstance(v, type) and issubclass(v, nn.Module)]


def _one_class(home: ModuleType, place: str) -> str:
    """The one module class that a file defines. Raises UserError where it is not one."""
    own = [name for name in _classes(home) if getattr(home, name).__module__ == home.__name__]
    if len(own) == 1:
        return own[0]
    if not own:
        raise UserError(
            f"{place} defines no class derived from torch.nn.Module: name what makes one, {place}:NAME"
        )
    raise UserError(
        f"{place} defines {len(own)} modules: name one, such as {place}:{own[-1]} ({', '.join(own)})"
    )


def source_digest(name: str) -> str:
    """Twelve hex digits of the file, as it now is, that defines a subject given by its place; "" without one.

    Raises UserError as :func:`load` does.
    """
    import hashlib
    import inspect

    try:
        source = inspect.getfile(load(name).maker)
    except TypeError:  # an instance, or what is built into Python
        source = parts(name).place
    try:
        content = Path(source).read_bytes()
    except OSError:
        return ""
    return hashlib.sha256(content).hexdigest()[:12]
