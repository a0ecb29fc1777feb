"""The Python interface. The command line parses, calls these functions, and prints what they return."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctxbench import registry
from ctxbench.counters import COUNTERS, DEFAULT, available
from ctxbench.errors import UserError
from ctxbench.measure.case import Case, Layout, Mode, validate
from ctxbench.measure.folder import Plan, Run, Settings
from ctxbench.report.explain import Count, Explanation

if TYPE_CHECKING:
    from torch import nn

    from ctxbench.measure.session import Progress
    from ctxbench.tracing import Trace

Size = int | tuple[int, int]
Subject = "str | type[nn.Module] | nn.Module"

TABLE_10 = ("reconet", "nonlocal", "apcnet", "rcca", "a2net", "afnb", "latentgnn", "emau")


def cases(
    modules: Iterable[str] = TABLE_10,
    *,
    channels: Sequence[int] = (512,),
    sizes: Sequence[Size] = (64,),
    options: Mapping[str, Any] | None = None,
    implementation: str | None = None,
    batch: int = 1,
    dtype: str = "float32",
    layout: Layout = "contiguous",
    mode: Mode = "infer",
    device: str = "cpu",
    compile: bool = False,
) -> list[Case]:
    """Spell out a sweep: every module at every number of channels and every size (H = W, or (H, W)).

    A module with a row in the paper's Table 10 takes that row's configuration, changed by ``options``; any
    other is built with its own defaults, changed likewise. Raises UserError where a case makes no sense.
    """
    found = []
    for name in modules:
        known = registry.spec(name)
        form = implementation or ("fast" if name in registry.SPECS else registry.SINGLE)
        for width in channels:
            row = known.table10.options_at(width) if known and known.table10 else {}
            for size in sizes:
                height, breadth = size if isinstance(size, tuple) else (size, size)
                case = Case(
                    module=registry.canonical(name),
                    channels=width,
                    height=height,
                    width=breadth,
                    options={**row, **(options or {})},
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


def check(case: Case) -> None:
    """Build a case's module among fake tensors and run it twice, without computing anything.

    Raises UserError where it cannot be built with its options, does not map (N, C, H, W) to (N, C', H, W),
    or does so differently from call to call.
    """
    from ctxbench.tracing import trace as record

    builder = _builder(case.module, case.channels, (case.height, case.width), case.implementation, case.options)
    label = case.module.rpartition("/")[2]
    try:
        first, second = (record(builder, case.shape).output_shape for _ in range(2))
    except UserError as error:
        raise UserError(f"{label}: {error}" if label not in str(error) else str(error)) from error
    except Exception as error:
        text = str(error).strip().split("\n")[0]
        raise UserError(f"{label} fails on an input of {case.shape}: {type(error).__name__}: {text}") from error
    if first != second:
        raise UserError(f"{label} is not deterministic in shape: it returned {first}, then {second}")


def profile(
    modules: Iterable[str] = TABLE_10,
    *,
    out: str | Path | None = None,
    settings: Settings | None = None,
    counters: Sequence[str] = DEFAULT,
    command: Sequence[str] = (),
    progress: Progress | None = None,
    **conditions: Any,
) -> Run:
    """Count and measure modules, each in its own process, and write the run's folder with its report.

    ``conditions`` are those of :func:`cases`. ``out`` is a folder that holds no run yet; by default one
    under ``runs/`` named after the time. What could not be measured is in the records, with a reason.
    Raises UserError before anything is measured where the input is wrong.
    """
    from ctxbench.measure import session
    from ctxbench.measure.folder import RunFolder, check_free

    folder = Path(out) if out else Path("runs") / datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S")
    check_free(folder)
    for counter in counters:
        if counter not in COUNTERS:
            raise UserError(f"unknown counter {counter!r}; one of {', '.join(COUNTERS)}")
        if not available(counter):
            raise UserError(f"the counter {counter} is not installed: pip install 'ctxbench[counters]'")
    planned = list(dict.fromkeys_by_id(cases(modules, **conditions)))
    raise NotImplementedError
