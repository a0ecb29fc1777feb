"""ctxbench: counts, measures and compares context modules, with the convention beside every number.

The names of ``__all__`` are the whole Python interface, one function a verb; they are loaded when first used,
so that importing the package, and ``ctxbench --help``, does not import torch.
"""

import sys
from types import ModuleType

from ctxbench.version import __version__ as __version__

TYPE_CHECKING = False  # typing itself takes as long to import as all else on the way to --help
if TYPE_CHECKING:
    from typing import Any

    from ctxbench.api import (
        attention,
        audit,
        calibrate,
        check_data,
        choose,
        compare,
        count,
        count_networks,
        decode,
        environment,
        evaluate,
        explain,
        probe,
        profile,
        register_formula,
        report,
        study,
        sweep,
        trace,
        train,
    )
    from ctxbench.errors import UserError
    from ctxbench.paper.regenerate import paper
    from ctxbench.report.run import load_run
    from ctxbench.subject.bind import build
    from ctxbench.subject.registry import catalogue, register

_HOME = {
    "UserError": "ctxbench.errors",
    "attention": "ctxbench.api",
    "audit": "ctxbench.api",
    "build": "ctxbench.subject.bind",
    "calibrate": "ctxbench.api",
    "catalogue": "ctxbench.subject.registry",
    "check_data": "ctxbench.api",
    "choose": "ctxbench.api",
    "compare": "ctxbench.api",
    "count": "ctxbench.api",
    "count_networks": "ctxbench.api",
    "decode": "ctxbench.api",
    "environment": "ctxbench.api",
    "evaluate": "ctxbench.api",
    "explain": "ctxbench.api",
    "load_run": "ctxbench.report.run",
    "paper": "ctxbench.paper.regenerate",
    "probe": "ctxbench.api",
    "profile": "ctxbench.api",
    "register": "ctxbench.subject.registry",
    "register_formula": "ctxbench.api",
    "report": "ctxbench.api",
    "study": "ctxbench.api",
    "sweep": "ctxbench.api",
    "trace": "ctxbench.api",
    "train": "ctxbench.api",
}
"""Each public name, and the module it is loaded from."""

__all__ = [
    "UserError",
    "attention",
    "audit",
    "build",
    "calibrate",
    "catalogue",
    "check_data",
    "choose",
    "compare",
    "count",
    "count_networks",
    "decode",
    "environment",
    "evaluate",
    "explain",
    "load_run",
    "paper",
    "probe",
    "profile",
    "register",
    "register_formula",
    "report",
    "study",
    "sweep",
    "trace",
    "train",
]


def _loaded(name: str) -> "Any":
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)


class _Folder(ModuleType):
    """A folder of ctxbench that has the name of a verb, such as ``report``: called, it is that verb."""

    @property
    def __signature__(self) -> "Any":
        from inspect import signature

        return signature(_loaded(self.__name__.rpartition(".")[2]))

    def __call__(self, *arguments: "Any", **keywords: "Any") -> "Any":
        return _loaded(self.__name__.rpartition(".")[2])(*arguments, **keywords)


class _Package(ModuleType):
    """The package itself, in which a folder and a verb of one name are one thing.

    Importing ``ctxbench.report.run`` binds the folder ``report`` here, where ``ctxbench.report(...)`` is
    looked up too.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if name in _HOME and type(value) is ModuleType:
            value.__class__ = _Folder
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> "Any":
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _loaded(name)
