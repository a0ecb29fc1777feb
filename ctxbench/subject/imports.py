"""Files of users as modules, each with imports of its own.

A user's ``block.py`` says ``import utils`` and means the ``utils.py`` beside it, whatever else is called so.
Python has one table of modules for a process, so the second ``block.py`` would get the first one's ``utils``.
Here everything that is imported from one folder becomes a submodule of a package made for that folder
(``_ctxbench_1f2e3d4c.utils``), and the files there see an ``__import__`` that looks in that package first. It
stands in their own ``__builtins__``, so imports inside functions find it too, and nobody else does.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from ctxbench.errors import UserError, in_one_line, in_users_code

PREFIX = "_ctxbench_"
MAX_LEFT_OUT = 8
"""Failing ``__init__`` files of one package that are left out."""
PROJECT_MARKS = (".git", "pyproject.toml", "setup.py", "setup.cfg", "requirements.txt")
"""What a project's own folder has: people run its files from there, and import what lies in it."""
SHARED = frozenset(("torch", "numpy", "ctxbench", "ctxbench_modules", *sys.builtin_module_names))
"""Top-level names that mean the same for everybody, whatever lies in a folder."""


@cache
def _installed_folders() -> frozenset[Path]:
    """Folders whose modules Python imports by name."""
    import sysconfig

    names = ("purelib", "platlib", "stdlib", "platstdlib")
    return frozenset(Path(sysconfig.get_path(name)).resolve() for name in names)


def import_file(path: Path) -> ModuleType:
    """The module of a Python file, under its name in its package where it lies in one.

    Where a package's ``__init__`` fails, the file is imported without it. A file that was changed since it
    was imported is imported again, with its neighbours. Raises UserError where it cannot be imported.
    """
    path = path.resolve()
    if not path.is_file():
        raise UserError(f"no Python file at {path}")
    root, parts = path.parent, [path.stem]
    while (root / "__init__.py").is_file():
        root, parts = root.parent, [root.name, *parts]
    if path.stem == "__init__":
        parts.pop()
    if root in _installed_folders():
        return _by_name(".".join(parts), str(path))
    return _home(root).load(parts, str(path))


def import_module(name: str, folder: Path) -> ModuleType:
    """The module ``name`` as Python finds it, else in ``folder``. Raises UserError where neither has it."""
    top = name.partition(".")[0]
    if importlib.util.find_spec(top) is None and PathFinder.find_spec(top, [str(folder)]):
        return _home(folder.resolve()).load(name.split("."), name)
    return _by_name(name, repr(name), "cannot import {}: {}")


def _by_name(name: str, shown: str, says: str = "{} cannot be imported: {}") -> ModuleType:
    """Import as Python does; where an ``__init__`` of the package fails, that one is left out."""
    if sys.modules.get(name) is not None:  # nothing runs any more that could fail
        return importlib.import_module(name)
    top = name.partition(".")[0]
    before = {m: module for m, module in sys.modules.items() if m == top or m.startswith(f"{top}.")}
    left_out: dict[str, ModuleType] = {}
    first: BaseException | None = None
    try:
        while True:
            try:
                return importlib.import_module(name)
            except (Exception, SystemExit) as error:
                first = first or error
                failing = _failing_package(top, error)
                is_given_up = failing is None or failing.__name__ in (name, *left_out)
                if is_given_up or len(left_out) == MAX_LEFT_OUT:
                    reason = in_one_line(first) + in_users_code(first)
                    raise UserError(says.format(shown, reason)) from first
                assert failing is not None
                left_out[failing.__name__] = failing
                for half_made in [m for m in sys.modules if m == top or m.startswith(f"{top}.")]:
                    del sys.modules[half_made]
                sys.modules.update(left_out)
    finally:
        for package in left_out:  # whoever imports it next gets the real one, or its real error
            sys.modules.pop(package, None)
        if left_out:
            sys.modules.update(before)


def _failing_package(top: str, error: BaseException) -> ModuleType | None:
    """An empty package for the innermost one of ``top`` whose ``__init__`` was running when it was raised."""
    step, found = error.__traceback__, None
    while step is not None:
        names = step.tb_frame.f_globals
        name = names.get("__name__", "")
        runs_init = step.tb_frame.f_code.co_name == "<module>" and "__path__" in names
        if runs_init and name.partition(".")[0] == top:
            found = ModuleType(name)
            found.__path__ = list(names["__path__"])
            found.__package__ = name
        step = step.tb_next
    return found


class _Home:
    """The package that stands for a folder, and what has been imported from there."""

    def __init__(self, root: Path, name: str) -> None:
        self.root, self.name = root, name
        self._stamps: dict[Path, tuple[int, int]] = {}
        self._failed: dict[str, BaseException] = {}  # packages whose __init__ does not run
        self._builtins = {**vars(builtins), "__import__": self._import}
        self._add_package(self.name, root)

    def load(self, parts: Sequence[str], shown: str) -> ModuleType:
        """Import the module ``parts`` below the folder. Raises UserError where that fails."""
        if any(_stamp(file) != stamp for file, stamp in self._stamps.items()):
            self._forget()
        failed = self._import_packages(parts[:-1])
        try:
            return importlib.import_module(".".join([self.name, *parts]))
        except (Exception, SystemExit) as error:
            also = f" (its package fails too: {in_one_line(failed)})" if failed else ""
            says = "{} cannot be imported: {}{}" if shown.endswith(".py") else "cannot import {!r}: {}{}"
            reason = in_one_line(error) + in_users_code(error)
            raise UserError(says.format(shown, reason, also)) from error

    def _import_packages(self, parts: Sequence[str]) -> BaseException | None:
        """Import the packages around a module; one whose ``__init__`` fails stands empty. Returns why."""
        names = [".".join([self.name, *parts[: depth + 1]]) for depth in range(len(parts))]
        for depth, name in enumerate(names):
            try:
                importlib.import_module(name)
            except (Exception, SystemExit) as error:
                self._failed[name] = error
                self._add_package(name, self.root.joinpath(*parts[: depth + 1]))
        return next((self._failed[name] for name in reversed(names) if name in self._failed), None)

    def _add_package(self, name: str, folder: Path) -> None:
        package = ModuleType(name)
        package.__path__ = [str(folder)]
        package.__package__ = name
        sys.modules[name] = package

    def _forget(self) -> None:
        for name in [name for name in sys.modules if name.startswith(f"{self.name}.")]:
            del sys.modules[name]
        self._stamps.clear()
        self._failed.clear()
        self._add_package(self.name, self.root)

    def run(self, module: ModuleType, file: Path, execute: Callable[[ModuleType], None]) -> None:
        """Execute a module of this folder with the folder's own imports."""
        self._stamps[file] = _stamp(file)
        vars(module)["__builtins__"] = self._builtins
        execute(module)

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """What ``import`` does in the folder's files."""
        top = name.partition(".")[0]
        package = None if level else self._package_of(top, globals or {})
        if package is None and not level and (above := self._above(top)) is not None:
            package = above.name
            above._import_packages(name.split(".")[:-1])
        if package is not None:
            module = builtins.__import__(f"{package}.{name}", globals, locals, fromlist or ("__name__",), 0)
            return module if fromlist else sys.modules[f"{package}.{top}"]
        module = builtins.__import__(name, globals, locals, fromlist or (), level)
        return self._importlib() if module is importlib else module

    def _package_of(self, top: str, importer: Mapping[str, Any]) -> str | None:
        """Which package of this folder has a module ``top``: the folder itself, or the importing file's."""
        if top in SHARED:
            return None
        if (spec := PathFinder.find_spec(top, [str(self.root)])) is not None:
            # a folder without __init__.py counts only where nothing installed has its name, as in Python
            return self.name if spec.loader is not None or not _installed(top) else None
        beside = Path(importer.get("__file__", "")).parent
        if beside == self.root or _installed(top) or PathFinder.find_spec(top, [str(beside)]) is None:
            return None
        return importer.get("__package__") or None

    def _above(self, top: str) -> _Home | None:
        """The folder around this one whose module ``top`` is meant, as where its files are run from.

        That is one in whose folder ``top`` this one lies, else the project's own or one between. Something
        installed goes before it, except before a package that this folder is part of.
        """
        if top in SHARED:
            return None
        inside, installed = [self.root, *self.root.parents], _installed(top)
        ends = [
            n for n, folder in enumerate(inside) if any((folder / mark).exists() for mark in PROJECT_MARKS)
        ]
        for number, folder in enumerate(self.root.parents, start=1):
            is_part = folder / top in inside
            if not is_part and (installed or not ends or number > ends[0]):
                continue
            spec = PathFinder.find_spec(top, [str(folder)])
            if spec is not None and (spec.loader is not None or not installed):
                return _home(folder)
        return None

    def _importlib(self) -> ModuleType:
        """``importlib`` for the folder's files: its ``import_module`` looks where ``import`` does."""

        def import_module(name: str, package: str | None = None) -> ModuleType:
            if name.startswith("."):
                return importlib.import_module(name, package)
            return self._import(name, fromlist=("__name__",))

        own = ModuleType("importlib")
        vars(own).update(vars(importlib) | {"import_module": import_module})
        return own


def _installed(top: str) -> bool:
    try:
        return importlib.util.find_spec(top) is not None
    except (ImportError, ValueError):  # half-made modules in sys.modules
        return top in sys.modules


def _stamp(file: Path) -> tuple[int, int]:
    try:
        stat = file.stat()
    except OSError:
        return 0, 0
    return stat.st_mtime_ns, stat.st_size


class _Loader(SourceFileLoader):
    """Runs a file with the builtins of its folder."""

    def __init__(self, home: _Home, name: str, path: str) -> None:
        super().__init__(name, path)
        self._home = home

    def exec_module(self, module: ModuleType) -> None:
        self._home.run(module, Path(self.path), super().exec_module)


class _Finder:
    """Finds the modules of our folders' packages; of no others."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        home = _homes.get(fullname.partition(".")[0])
        if home is None or path is None:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(home, fullname, spec.loader.path)
        return spec


_homes: dict[str, _Home] = {}  # by name of their package


def _home(root: Path) -> _Home:
    import hashlib

    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    name = PREFIX + hashlib.sha256(str(root).encode()).hexdigest()[:8]
    if name not in _homes:
        _homes[name] = _Home(root, name)
    return _homes[name]
