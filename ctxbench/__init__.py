"""ctxbench: counts, measures and compares context modules, with the convention beside every number.

The names below are the whole Python interface; they are loaded when first used, so that importing the
package, and ``ctxbench --help``, does not import torch.
"""

TYPE_CHECKING = False  # typing itself takes as long to import as all else on the way to --help
if TYPE_CHECKING:
    from typing import Any

    from ctxbench.api import count, explain, profile, resume, trace
    from ctxbench.errors import UserError
    from ctxbench.measure.folder import Settings
    from ctxbench.measure.records import Record
    from ctxbench.report.compare import compare_runs
    from ctxbench.report.explain import Count, Explanation
    from ctxbench.report.run import Profile, load_run, write_report
    from ctxbench.subject.bind import build
    from ctxbench.subject.case import Case
    from ctxbench.subject.registry import register
    from ctxbench.tracing import Trace

__version__ = "0.1.0"

_HOME = {
    "Case": "ctxbench.subject.case",
    "Count": "ctxbench.report.explain",
    "Explanation": "ctxbench.report.explain",
    "Profile": "ctxbench.report.run",
    "Record": "ctxbench.measure.records",
    "Settings": "ctxbench.measure.folder",
    "Trace": "ctxbench.tracing",
    "UserError": "ctxbench.errors",
    "build": "ctxbench.subject.bind",
    "compare_runs": "ctxbench.report.compare",
    "count": "ctxbench.api",
    "explain": "ctxbench.api",
    "load_run": "ctxbench.report.run",
    "profile": "ctxbench.api",
    "register": "ctxbench.subject.registry",
    "resume": "ctxbench.api",
    "trace": "ctxbench.api",
    "write_report": "ctxbench.report.run",
}

__all__ = [
    "Case",
    "Count",
    "Explanation",
    "Profile",
    "Record",
    "Settings",
    "Trace",
    "UserError",
    "build",
    "compare_runs",
    "count",
    "explain",
    "load_run",
    "profile",
    "register",
    "resume",
    "trace",
    "write_report",
]


def __getattr__(name: str) -> "Any":
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)
