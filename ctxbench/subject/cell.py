"""A class typed at a prompt or in a notebook's cell, written into a file that any process can import.

The file holds the source of the class, and of what that uses from other cells: classes and functions by
their source, modules and what they hold by an import, plain values as they are now. It lies in the user's
cache, and the digest of its text is in its name: one source is one file and one name, today and tomorrow, and
another source is another case.
"""

from __future__ import annotations
import __future__

import ast
import hashlib
import inspect
import linecache
import symtable
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

from ctxbench.errors import UserError
from ctxbench.files import cache_folder, write_text, writing
from ctxbench.subject.imports import import_file

COMPREHENSIONS = ("listcomp", "setcomp", "dictcomp", "genexpr")
"""Scopes that run where they stand, unlike a function's."""


def place(cls: type) -> str:
    """``path/to/file.py:Class`` of a class that no file defines, after writing that file.

    Raises UserError where its source is not known, it uses what cannot be written down, or that source does
    not give the class as it is now.
    """
    if "." in cls.__qualname__:
        raise refused(cls, "it is defined within another class")
    script = _Script(cls)
    name = f"{cls.__name__}_{hashlib.sha256(script.text.encode()).hexdigest()[:12]}"
    path = cache_folder("cells") / f"{name}.py"
    if not path.is_file() or path.read_text(encoding="utf-8") != script.text:
        with writing(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, script.text)
    written = vars(import_file(path))
    if changed := [own for own in script.defined if not script.gives(own, written.get(own))]:
        raise refused(cls, f"{changed[0]} was changed after it was defined")
    return f"{path}:{cls.__name__}"


def refused(cls: type, why: str) -> UserError:
    """Word the refusal of a class, with the way out."""
    file = f"{cls.__name__.lower()}.py"
    return UserError(
        f"{cls.__qualname__} cannot be imported by another process: {why}; write it into a file, and name it "
        f"path/to/{file}:{cls.__name__}"
    )


class _Statement(NamedTuple):
    """A statement at the top of a cell: its text, what it was parsed to, its cell and its lines there."""

    text: str
    node: ast.stmt
    cell: str
    first: int
    last: int

    @property
    def bound(self) -> list[str]:
        """The names that a definition or an assignment binds."""
        if isinstance(self.node, ast.ClassDef | ast.FunctionDef):
            return [self.node.name]
        targets = [*getattr(self.node, "targets", ()), getattr(self.node, "target", None)]
        return [target.id for target in targets if isinstance(target, ast.Name)]

    def holds(self, code: CodeType) -> bool:
        """Whether a code begins in it."""
        return code.co_filename == self.cell and self.first <= code.co_firstlineno <= self.last


class _Script:
    """The text of a file that defines a class, with all that it uses before it."""

    def __init__(self, cls: type) -> None:
        self._cls = cls
        self._globals = vars(sys.modules[cls.__module__])
        self._imports: dict[str, None] = {}
        self._statements: list[str] = []
        self._seen: set[str] = set()
        self._waiting: list[str] = []
        """Names that only functions use, which are looked up when those are called."""
        self.defined: dict[str, tuple[Any, _Statement]] = {}
        """By name, the classes and functions whose source it holds, and that."""
        self._define(cls.__name__, cls, all_first=False)
        while self._waiting:
            self._name(self._waiting.pop(), all_first=False)
        parts = ["\n".join(sorted(self._imports, key=lambda line: ("__future__" not in line, line)))]
        self.text = "\n\n\n".join(filter(None, [*parts, *self._statements])) + "\n"

    def _name(self, name: str, *, all_first: bool) -> None:
        """Write down what a name stands for.

        With ``all_first`` it may be called while the file is imported, so that what its functions use has to
        stand before it.
        """
        if name in self._seen or name not in self._globals:  # a builtin, or what Python will say is missing
            return
        self._seen.add(name)
        value = self._globals[name]
        if isinstance(value, ModuleType):
            self._module(name, value)
        elif isinstance(value, type | FunctionType) and value.__module__ == self._cls.__module__:
            self._define(name, value, all_first=all_first)
        elif (literal := _literal(value)) is not None:
            self._statements.append(f"{name} = {literal}")
        elif (found := _importable(name, value)) is not None:
            module, attribute = found
            alias = "" if attribute == name else f" as {name}"
            self._imports[f"from {module} import {attribute}{alias}"] = None
        else:
            raise refused(self._cls, f"it uses {name}, which is {_a(type(value).__name__)} of the session")

    def _module(self, name: str, module: ModuleType) -> None:
        if sys.modules.get(module.__name__) is not module or module.__name__ == self._cls.__module__:
            raise refused(self._cls, f"it uses the module {name}, which cannot be imported by its name")
        alias = "" if module.__name__ == name else f" as {name}"
        self._imports[f"import {module.__name__}{alias}"] = None

    def _define(self, name: str, value: Any, *, all_first: bool) -> None:
        own, statement = value.__name__, _statement(value)
        if statement is None or (own == "<lambda>" and name not in statement.bound):
            raise refused(self._cls, f"the source of {name} is not known")
        self._seen.add(own)
        self.defined[name] = (value, statement)
        for code in _codes(value):
            if code.co_flags & __future__.annotations.compiler_flag:
                self._imports["from __future__ import annotations"] = None
        self._import_submodules(statement.node)
        for used, later in _used(statement.text):
            if later and not all_first:
                self._waiting.append(used)
            else:
                self._name(used, all_first=True)
        self._statements.append(statement.text)
        if name not in (own, *statement.bound):
            self._statements.append(f"{name} = {own}")

    def gives(self, name: str, written: Any) -> bool:
        """Whether a definition is still what its source says; ``written`` is what the file makes of it.

        A class's functions have to be of that statement, or others that are written down; plain values equal.
        """
        value, statement = self.defined[name]
        others = [_function(one) for one, _ in self.defined.values()]
        for attribute, part in vars(value).items() if isinstance(value, type) else ():
            function = _function(part)
            if function is None:
                same = attribute.startswith("__") or _literal(part) == _literal(vars(written).get(attribute))
            else:
                code = function.__code__
                from_elsewhere = code.co_filename == "<string>" or Path(code.co_filename).exists()
                same = statement.holds(code) or function in others or from_elsewhere
            if not same:
                return False
        return True

    def _import_submodules(self, node: ast.stmt) -> None:
        """``a.b`` for ``a.b.c`` where ``b`` is a module: a new process has not imported it by the way."""
        for part in ast.walk(node):
            first, *others = ast.unparse(part).split(".") if isinstance(part, ast.Attribute) else [""]
            module = self._globals.get(first)
            if isinstance(module, ModuleType):
                for depth in range(len(others)):
                    name = ".".join([module.__name__, *others[: depth + 1]])
                    if name in sys.modules:
                        self._imports[f"import {name}"] = None


def _codes(value: Any) -> list[CodeType]:
    """The code of a function, or of a class's own."""
    parts = vars(value).values() if isinstance(value, type) else [value]
    return [function.__code__ for part in parts if (function := _function(part)) is not None]


def _function(part: Any) -> FunctionType | None:
    """The function in a method of whatever kind, without what decorators put around it."""
    inner = getattr(part, "fget" if isinstance(part, property) else "__func__", part)
    function = inspect.unwrap(inner) if callable(inner) else None
    return function if isinstance(function, FunctionType) else None


def _statement(value: Any) -> _Statement | None:
    """The statement that defines a class or a function; None where it is not known."""
    for code in _codes(value):
        try:
            source = "".join(inspect.findsource(code)[0])
        except (OSError, TypeError):  # made by a decorator, or typed where nothing is kept
            continue
        for statement in _top(source, code.co_filename):
            if statement.holds(code) and (value.__name__ in statement.bound or value.__name__ == "<lambda>"):
                return statement
    # A class without a function of its own names no cell: there may be one alone that defines such a class.
    entries = [(name, entry) for name, entry in linecache.cache.items() if not Path(name).exists()]
    cells = [_top("".join(entry[2]), name) for name, entry in entries if len(entry) > 2]
    found = {one.text: one for cell in cells for one in cell if value.__name__ in one.bound}
    return next(iter(found.values())) if len(found) == 1 else None


def _top(source: str, cell: str) -> list[_Statement]:
    """The statements at the top of a cell."""
    try:
        nodes = ast.parse(source).body
    except SyntaxError:
        return []
    lines = source.splitlines()
    statements = []
    for node in nodes:
        decorators = [decorator.lineno for decorator in getattr(node, "decorator_list", ())]
        first, last = min([node.lineno, *decorators]), node.end_lineno or node.lineno
        statements.append(_Statement("\n".join(lines[first - 1 : last]), node, cell, first, last))
    return statements


def _used(source: str) -> Iterator[tuple[str, bool]]:
    """The global names that a statement uses, and whether only when a function of it is called."""

    def walk(table: symtable.SymbolTable, later: bool) -> Iterator[tuple[str, bool]]:
        for symbol in table.get_symbols():
            is_global = symbol.is_global() or table.get_type() == "module"
            if is_global and symbol.is_referenced():
                yield symbol.get_name(), later
        for child in table.get_children():
            runs_later = child.get_type() == "function" and child.get_name() not in COMPREHENSIONS
            yield from walk(child, later or runs_later)

    found = walk(symtable.symtable(source, "cell", "exec"), later=False)
    at_once_last = sorted(found, key=lambda one: (not one[1], one[0]))  # and so what a dict keeps
    yield from dict(at_once_last).items()


def _literal(value: Any) -> str | None:
    """A plain value as Python writes it."""
    text = repr(value)
    try:
        same = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return text if type(same) is type(value) and same == value else None


def _importable(name: str, value: Any) -> tuple[str, str] | None:
    """The module and the name that a value is imported by."""
    named = (getattr(value, "__name__", ""), repr(value).rpartition(".")[2], name)
    home = getattr(value, "__module__", None)
    for known in filter(str.isidentifier, named):
        for module in [home] if home in sys.modules else sorted(sys.modules, key=len):
            if module != "__main__" and vars(sys.modules[module]).get(known) is value:
                return module, known
    return None


def _a(kind: str) -> str:
    return f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"
