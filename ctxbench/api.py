"""The Python interface. The command line parses, calls these functions, and prints what they return."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import product
from multiprocessing import current_process
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from ctxbench.counters import COUNTERS, DEFAULT, Shape
from ctxbench.errors import UserError, in_one_line
from ctxbench.measure.folder import Settings
from ctxbench.report.explain import Count, Explanation
from ctxbench.subject import bind, registry, resolve
from ctxbench.subject.case import Case, Layout, Mode, validate

if TYPE_CHECKING:
    from torch import nn

    from ctxbench.measure.session import Progress
    from ctxbench.report.run import Profile
    from ctxbench.tracing import Trace

T = TypeVar("T")
Size = int | tuple[int, int]
Subject: TypeAlias = "str | nn.Module"
Modules: TypeAlias = "str | type[nn.Module] | Iterable[str | type[nn.Module]]"

SELF = "torch.nn:Identity"
"""Stands for a module that is there already, where only its conditions are checked."""

TABLE_10 = ("reconet", "nonlocal", "apcnet", "rcca", "a2net", "afnb", "latentgnn", "emau")


def cases(
    modules: Modules = TABLE_10,
    *,
    channels: int | Sequence[int] = 512,
    sizes: int | Sequence[Size] = 64,
    options: Mapping[str, Any] | None = None,
    implementations: Sequence[str] = (),
    batch: int = 1,
    dtype: str = "float32",
    layout: Layout = "contiguous",
    mode: Mode = "infer",
    device: str = "cpu",
    compile: bool = False,
) -> list[Case]:
    """Spell out a sweep: every module at every number of channels and every size (H = W, or (H, W)).

    ``implementations`` are by default the fast form, or the only one there is.

    A module with a row in the paper's Table 10 takes that row's configuration, changed by ``options``
    (``{"rank": 32}`` for every module, ``{"reconet.rank": 32}`` for one, a class by its bare name); any
    other is built with its own defaults, changed likewise. A class stands for the place it is defined in:
    each case builds its own, in a process of its own. Raises UserError where a case makes no sense.
    """
    found = []
    names = [_name(module) for module in ([modules] if isinstance(modules, (str, type)) else modules)]
    chosen = _share_out(options or {}, names)
    for name in names:
        known = registry.spec(name)
        first = bind.implementations(name)[0] if name in registry.SPECS else bind.SINGLE
        forms = implementations or (first,)
        for width, size, form in product(_listed(channels), _listed(sizes), forms):
            row = known.table10.options_at(width) if known and known.table10 else {}
            height, breadth = size if isinstance(size, tuple) else (size, size)
            case = Case(
                module=resolve.canonical(name),
                channels=width,
                height=height,
                width=breadth,
                options={**row, **chosen[name]},
                implementation=form,
                batch=batch,
                dtype=dtype,
                layout=layout,
                mode=mode,
                device=device,
                compile=compile,
            )
            validate(case)
            found.append(case)
    return found


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
        if bare in ("channels", "size", "implementation"):
            raise UserError(f"{bare} is no option of a module here: it has an argument of its own")
        theirs = [name for name in names if not owner or owner in (name, name.rpartition(":")[2])]
        if not theirs:
            raise UserError(f"the option {key} is for {owner!r}, which is not among {', '.join(names)}")
        for name in theirs:
            shares[name][bare] = value
    return shares


def _listed(values: int | Sequence[T]) -> Sequence[int | T]:
    return [values] if isinstance(values, int) else values


def new_folder() -> Path:
    """Where a run goes that names no folder: ``runs/`` and the time, in UTC."""
    return Path("runs") / datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S")


def profile(
    modules: Modules = TABLE_10,
    *,
    out: str | Path | None = None,
    settings: Settings | None = None,
    command: Sequence[str] = (),
    progress: Callable[[Progress], None] | None = None,
    **conditions: Any,
) -> Profile:
    """Count and measure modules, each in its own process, and write the run's folder with its report.

    ``conditions`` are those of :func:`cases`. ``out`` is a folder that holds no run yet; by default one
    under ``runs/`` named after the time. What could not be measured is in the records, with a reason.
    Raises UserError before anything is measured where the input is wrong; KeyboardInterrupt leaves what was
    measured in the folder.

    A class defined in a script is imported from it by the processes that measure, so the script's own work
    belongs under ``if __name__ == "__main__":``.
    """
    from ctxbench.measure import session
    from ctxbench.report.run import load_run, write_report

    if current_process().daemon:
        raise UserError(
            "profile() ran while a worker imported this script: put it under if __name__ == '__main__'"
        )
    folder = Path(out) if out else new_folder()
    session.run(
        cases(modules, **conditions), settings=settings, out=folder, command=command, progress=progress
    )
    write_report(folder)
    return load_run(folder)


def resume(folder: str | Path, *, progress: Callable[[Progress], None] | None = None) -> Profile:
    """Go on with an interrupted run, and write its report. Raises UserError where that cannot be."""
    from ctxbench.measure import session
    from ctxbench.report.run import load_run, write_report

    session.resume(Path(folder), progress=progress)
    write_report(Path(folder))
    return load_run(folder)


def trace(
    module: Subject,
    shape: Shape = (1, 512, 64, 64),
    *,
    dtype: str = "float32",
    layout: Layout = "contiguous",
    mode: Mode = "infer",
    implementation: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Trace:
    """Record one pass of a module over an input of ``shape`` (N, C, H, W), without computing it.

    A name is built as :func:`cases` says, with Table 10's configuration changed by ``options``; a module
    that exists already is copied and never touched, and takes neither options nor implementation. Raises
    UserError where the module cannot be built, fails, or does not return (N, C', H, W).
    """
    import torch

    from ctxbench.tracing import trace as record

    name = module if isinstance(module, str) else SELF
    case = _case(name, shape, implementation, options, dtype=dtype, layout=layout, mode=mode)
    if not isinstance(module, str) and (options or implementation):
        raise UserError(
            f"this {type(module).__name__} is built already: options and implementation go with names"
        )
    try:
        subject = _builder(case) if isinstance(module, str) else module
        return record(subject, case.shape, dtype=getattr(torch, dtype), layout=layout, mode=mode)
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        doing = "forward and backward" if mode == "train" else "forward"
        raise UserError(f"{_label(module)} fails {doing} on {case.shape}: {in_one_line(error)}") from error


def count(module: Subject, shape: Shape = (1, 512, 64, 64), **given: Any) -> Count:
    """Count a module's parameters, MACs, FLOPs and memory. ``given`` is as for :func:`trace`, mode aside."""
    infer = trace(module, shape, mode="infer", **given)
    train: Trace | UserError
    try:
        train = trace(module, shape, mode="train", **given)
    except UserError as error:  # a block for inference alone
        train = error
    config = "" if not isinstance(module, str) else _case(module, shape, None, given.get("options")).config
    return Count.of(_label(module), infer, train, config)


def explain(
    module: str,
    shape: Shape = (1, 512, 64, 64),
    *,
    mode: Mode = "infer",
    implementation: str | None = None,
    counters: Sequence[str] = DEFAULT,
    options: Mapping[str, Any] | None = None,
) -> Explanation:
    """Take a module's cost apart: by operation, by module, by other counters, by the paper's convention.

    The counters and the paper's convention see the published operation order, where there is one. Raises
    UserError as :func:`trace` does; what a counter makes of the module never fails the rest.
    """
    from ctxbench.counters import leaf_rule as paper
    from ctxbench.tracing import views

    published = bind.implementations(module)[-1]
    build = _builder(_case(module, shape, published, options))
    return Explanation(
        count=count(module, shape, implementation=implementation, options=options),
        trace=trace(module, shape, mode=mode, implementation=implementation, options=options),
        counters={name: COUNTERS[name](build, shape) for name in counters},
        counted_macs=views.macs(trace(module, shape, implementation=published, options=options)),
        paper=paper.count(build, shape),
    )


def _case(
    name: str, shape: Shape, implementation: str | None, options: Mapping[str, Any] | None, **more: Any
) -> Case:
    if len(shape) != 4:
        raise UserError(f"a shape is (N, C, H, W), not {tuple(shape)}")
    batch, channels, height, width = shape
    forms = [implementation] if implementation else []
    (case,) = cases(
        name,
        channels=channels,
        sizes=[(height, width)],
        options=options,
        implementations=forms,
        batch=batch,
        **more,
    )
    return case


def _builder(case: Case) -> Callable[[], nn.Module]:
    size = (case.height, case.width)
    return partial(bind.build, case.module, case.channels, size, case.implementation, **case.options)


def _label(module: Subject) -> str:
    if not isinstance(module, str):
        return type(module).__name__
    known = registry.spec(module)
    return known.title if known else module.rpartition(":")[2]
