"""The Python interface: one function a verb. The command line parses, calls these, and prints the results.

What counts, measures or scores returns a result that is a table by ``str()`` and a frame by ``to_frame()``.
What writes files returns their paths, what looks at a machine or a data set plain Python. Importing
``ctxbench``, or looking a function up in it, imports no torch; a call imports what it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from multiprocessing import current_process
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ctxbench.counters import DEFAULT
from ctxbench.errors import UserError
from ctxbench.subject import registry
from ctxbench.subject.axes import Size
from ctxbench.subject.case import Case, Layout, Mode, Runtime, validate
from ctxbench.subject.cases import Modules, Options, cases, listed, read_cases
from ctxbench.subject.interface import asked_for
from ctxbench.subject.registry import SINGLE
from ctxbench.subject.resolve import label

if TYPE_CHECKING:
    from torch import nn

    from ctxbench.audit.decoding import Decoding
    from ctxbench.audit.sheet import Audit
    from ctxbench.calibration.sheet import Calibration
    from ctxbench.data.check import Check
    from ctxbench.evaluate.evaluation import Evaluation
    from ctxbench.evaluate.predict import Precision
    from ctxbench.measure.progress import RunProgress
    from ctxbench.networks.cost import NetworkCosts
    from ctxbench.report.choosing.sheet import Choice
    from ctxbench.report.comparison.sheet import Comparison
    from ctxbench.report.count import Count
    from ctxbench.report.explain import Explanation
    from ctxbench.report.run import Profile, Report
    from ctxbench.report.sweep_sheet import Sweep
    from ctxbench.report.view import Own
    from ctxbench.study.accuracy.sheet import Study
    from ctxbench.study.cells import Progress as StudyProgress
    from ctxbench.study.probes.sheet import Probes
    from ctxbench.tracing import Trace
    from ctxbench.train.curves import Trained
    from ctxbench.train.training import Progress as TrainingProgress

Subject: TypeAlias = "str | type[nn.Module] | nn.Module"
Formula: TypeAlias = "int | Callable[..., int]"
Shape = tuple[int, int, int, int]
SHAPE: Shape = (1, 512, 64, 64)
"""(N, C, H, W) of the input, where none is given."""

SELF = "torch.nn:Identity"
"""Stands for a module that is there already, where only its conditions are checked."""


def profile(
    modules: Modules = (),
    *,
    preset: str | None = None,
    channels: int | Sequence[int] = 512,
    sizes: int | Sequence[Size] = 64,
    options: Options = (),
    implementations: str | Sequence[str] = (),
    batch: int | str | Sequence[int | str] = 1,
    dtype: str | Sequence[str] = "float32",
    layout: Layout | Sequence[Layout] = "contiguous",
    mode: Mode | Sequence[Mode] = "infer",
    device: str | Sequence[str] = "cpu",
    threads: int | Sequence[int] | None = None,
    runtime: Runtime | Sequence[Runtime] = "eager",
    where: str = "",
    cases_file: str | Path | None = None,
    shard: tuple[int, int] | None = None,
    inputs: str | None = None,
    output: str | int | None = None,
    counters: Sequence[str] = DEFAULT,
    budget_s: float = 2.5,
    timeout_s: float = 120.0,
    save_onnx: str | Path | None = None,
    columns: Sequence[str] = (),
    sort: str = "",
    digits: int | None = None,
    own: Own = "last",
    out: str | Path | None = None,
    resume: str | Path | None = None,
    command: Sequence[str] = (),
    progress: Callable[[RunProgress], None] | None = None,
) -> Profile:
    """Count and measure modules, each in its own process, and write the run's folder with its report.

    A module is a name, a class, or a text such as ``path/to/file.py:Class`` (:mod:`ctxbench.subject.resolve`
    has them all). It is built with its own paper's defaults, changed by ``options`` (``{"rank": 32}`` for
    every module, ``{"reconet.rank": 32}`` for one), or as a ``preset`` has it, changed likewise. No modules
    are all of the preset's, by default of the first there is. What else a block needs that is not built
    in, its arguments and inputs, is found out by trial and said; ``inputs`` and ``output`` are as in
    :func:`trace`.

    Every condition is a value or a list, and each combination is a case: a size is H = W or (H, W);
    ``options`` may be several mappings; a dtype may be short ("bf16"); ``implementations`` are "fast",
    "published" or both; ``runtime`` is "eager", "compile", "onnxruntime" or "openvino"; ``threads`` are CPU
    threads of every library, by default as many as each takes by itself. A ``batch`` may be "fit:512MiB": the
    largest whose predicted peak of memory, above parameters and input, is at most that. It is found before
    the case is measured, and its record says whether the measured peak confirms it. ``where`` keeps a part of
    the combinations: ``'not (dtype == "bfloat16" and runtime == "compile")'``, of the names that the command
    line has.
    ``cases_file`` is a TOML file of cases that are no grid
    (:func:`ctxbench.subject.cases.read_cases`); it stands for all of these. Of a ``shard`` (2, 8) only the
    second of eight parts is measured, the same whenever the cases are: a run of its own, which :func:`report`
    and :func:`compare` take together with the others.

    ``counters`` are other libraries' counts. Latency is sampled for ``budget_s`` seconds a case at most;
    ``timeout_s`` bounds each step of a case. ``save_onnx`` is a folder that keeps the models which ONNX
    Runtime and OpenVINO run. ``out`` is a folder that holds no run yet; by default one
    under ``runs/`` named after the time. ``resume`` is the folder of an interrupted run, which goes on
    with its own settings. What could not be measured is in the records, with a reason.

    ``columns``, ``sort``, ``digits`` and ``own`` are how its tables look, as in :func:`report`.

    Raises UserError before anything is measured where the input is wrong; KeyboardInterrupt leaves what was
    measured in the folder. A class defined in a script is imported from it by the processes that measure, so
    the script's own work belongs under ``if __name__ == "__main__":``. One typed in a notebook's cell is
    written, with what it uses from other cells, into a file in the user's cache, which its records name.
    """
    from ctxbench.counters import installed
    from ctxbench.measure import session
    from ctxbench.measure.folder import Settings
    from ctxbench.measure.records import Record
    from ctxbench.report.run import Profile, load_run, write_report
    from ctxbench.report.view import ALL, View

    view = View(tuple(columns), sort, digits, own)
    if current_process().daemon:
        raise UserError(
            "profile() ran while a worker imported this script: put it under if __name__ == '__main__'"
        )
    if resume is not None:
        folder = Path(resume)
        if view != ALL:
            view.check(load_run(folder).records)
        run = session.resume_run(folder, progress=progress)
    else:
        folder = Path(out) if out else new_folder(shard)
        if cases_file is not None and (modules or preset):
            raise UserError("cases_file names its own modules and conditions: give it alone")
        wanted = (
            read_cases(Path(cases_file))
            if cases_file is not None
            else cases(
                modules,
                preset=preset,
                channels=channels,
                sizes=sizes,
                options=options,
                implementations=implementations,
                batch=batch,
                dtype=dtype,
                layout=layout,
                mode=mode,
                device=device,
                threads=threads,
                runtime=runtime,
                where=where,
                inputs=inputs,
                output=output,
            )
        )
        settings = Settings(
            budget_s=budget_s,
            timeout_s=timeout_s,
            counters=installed(counters),
            save_onnx="" if save_onnx is None else str(Path(save_onnx).absolute()),
        )
        view.check([Record(case) for case in wanted])
        run = session.measure_cases(
            wanted, settings=settings, out=folder, shard=shard, command=command, progress=progress
        )
    profiled = Profile.of(run, folder).seen(view)
    write_report(profiled)
    return profiled


def count_networks(
    models: str | Sequence[str],
    *,
    sizes: int | Sequence[Size] = 512,
    backbone: str = "resnet101",
    context: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> NetworkCosts:
    """Count whole segmentation networks at inputs 1×3×H×W, without running them.

    ``models`` are names such as "reconet" or "pspnet", ``context`` and ``options`` the context module of the
    network "reconet". Raises UserError for a name, an option or a size (at least 65) that does not fit.
    """
    from ctxbench.networks.counting import network_costs

    names = [models] if isinstance(models, str) else list(models)
    if not names:
        raise UserError("name a network to count, such as reconet or reconet,pspnet")
    return network_costs(
        names,
        sizes=listed(sizes),
        backbone=backbone,
        context=context,
        context_options=options or {},
    )


def report(
    *folders: str | Path,
    columns: Sequence[str] = (),
    sort: str = "",
    digits: int | None = None,
    own: Own = "last",
    out: str | Path | None = None,
) -> list[Path]:
    """Rebuild tables and figures of a run from its records, without measuring; the paths of what was written.

    Several runs are shown together: every record is a row, of equal cases each with the letter of its run,
    and in what their environments differ is said. The folder of a study is the run of its costs, with its
    accuracies. ``out`` is the folder that is written, by default the run's own, or of several one under
    ``runs/`` named after the time.

    ``columns`` are those that its tables have, in this order, by their names in ``summary.csv`` or, for the
    usual ones, "params", "macs", "flops", "memory", "latency", "throughput", "accuracy" and "form"; none are
    all of them but throughput, and in LaTeX, which is to fit a column of a paper, params, macs, memory and
    latency.
    ``sort`` is the column whose least value stands first in a table. ``digits`` are significant ones, 3 for
    columns that were asked for. Rows of modules that are not built in stand ``own``: "last" or "first".

    Raises UserError where a folder holds no run, is damaged, is given twice or cannot be written, and for a
    column that the runs do not have.
    """
    from ctxbench.report.run import write_report
    from ctxbench.report.view import View

    return write_report(load_report(folders, out).seen(View(tuple(columns), sort, digits, own)))


def compare(
    *runs: str | Path, by: str | None = None, baseline: Any = None, threshold: float | None = None
) -> Comparison:
    """Compare latencies case by case: ratios with intervals that hold together at 95 %, and verdicts.

    Of several runs each is held against the first, where they have equal cases. ``by`` goes along an axis
    within runs instead, such as "runtime", "dtype", "threads", "form", "size", "module" or an option: records
    that are equal in all else are compared, over those at the ``baseline``, by default the first value there
    is. A ``baseline`` alone is a module, which every other is held against.

    A case is SLOWER when its median surely grew by more than ``threshold``, a share: 0.05, 5 %, if it is left
    out. What two runs differ by though nothing did is in the intervals where :func:`calibrate` found it out
    before they began; each difference has the smallest that could have been told. Raises UserError where a
    folder holds no run or is damaged, the threshold is negative, or the runs have no such axis or value, or
    one value of it alone.
    """
    from ctxbench.report.comparison.compare import compare_runs

    return compare_runs(*runs, by=by, baseline=baseline, threshold=threshold)


def choose(
    *runs: str | Path,
    max: str | Sequence[str] = (),
    min: str | Sequence[str] = (),
    best: str = "latency",
    where: str = "",
    out: str | Path | None = None,
) -> Choice:
    """Choose among the rows of runs: what fits a budget, what does not and by how much, what is best.

    ``max`` and ``min`` are budgets such as "latency=20ms", "memory=64MiB" and "throughput=50/s", of latency,
    throughput, memory (the allocator's measured peak), process (growth of the process), macs, flops, params,
    energy and accuracy; ``best`` is one of these, by which the rows that fit are put in order. ``where``
    keeps a part of the rows, as in :func:`profile`. Rows that do other work (another shape or mode) are
    chosen from apart; batches are compared where throughput is asked for. What was measured is judged by the
    95 % interval of its median. ``out`` is a folder for the table and a figure of the fronts, latency against
    memory, MACs and accuracy.

    Accuracy is the mIoU of a :func:`study`, whose folder is a run here. By it the quickest row is taken of
    those that the study does not tell from the best.

    Raises UserError where a budget cannot be read, a folder holds no run, ``where`` keeps nothing, or of
    accuracy where the runs have none, or that of several studies.
    """
    from ctxbench.report.choosing import sheet
    from ctxbench.study.accuracies import read_run

    chosen = sheet.choose(
        [Path(run) for run in runs],
        most=listed(max), least=listed(min), best=best, where=where, read=read_run,
    )  # fmt: skip
    if out is not None:
        sheet.write_choice(Path(out), chosen)
    return chosen


def calibrate(
    *,
    pairs: int = 200,
    device: str = "cpu",
    budget_s: float = 2.5,
    timeout_s: float = 120.0,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    command: Sequence[str] = (),
    progress: Callable[[RunProgress], None] | None = None,
) -> Calibration:
    """Count how often :func:`compare` is right on this machine: false alarms, and differences found.

    Runs as :func:`profile` makes them, of a small, a middle and a large case and of the same with 2, 5 and
    10 % more work, are compared two by two: ``pairs`` of equal cases, rounded up to whole runs, and half as
    many for each share of added work. ``budget_s``, ``timeout_s``, ``out`` and ``resume`` are as in
    :func:`profile`; the folder gets a run's folder for each run, and the table. What two runs differ by
    though nothing did is kept in the user's cache for this environment: runs begun in it later take it with
    them, and :func:`compare` puts it into their intervals.

    Raises UserError before anything is measured where the input is wrong; KeyboardInterrupt leaves what was
    measured in the folder.
    """
    from ctxbench.calibration import runs
    from ctxbench.calibration.sheet import Calibration, write_calibration
    from ctxbench.measure.between_runs import remember

    folder = Path(resume or out or new_folder())
    if resume is not None:
        measured = runs.resume(folder, progress=progress)
    else:
        spec = runs.Spec(pairs, device, budget_s, timeout_s, tuple(command))
        measured = runs.calibrate(folder, spec, progress=progress)
    found = Calibration(tuple(measured))
    write_calibration(folder, found)
    if found.between_runs is not None:
        remember(measured[0].plan.environments[measured[0].plan.cases[0].device], found.between_runs, folder)
    return found


def trace(
    module: Subject,
    shape: Shape = SHAPE,
    *,
    preset: str | None = None,
    dtype: str = "float32",
    layout: Layout = "contiguous",
    mode: Mode = "infer",
    implementation: str | None = None,
    options: Mapping[str, Any] | None = None,
    inputs: str | None = None,
    output: str | int | None = None,
) -> Trace:
    """Record one pass of a module over a map of ``shape`` (N, C, H, W), without computing it.

    A name or a class is built as :func:`profile` says; a module that exists already is copied and never
    touched, and takes no preset, options or implementation. How a block that is not built in takes the map is
    found out by trial, unless ``inputs`` say it (``"x: N (H W) C; H; W"``); of several outputs the first that
    has the map's sides is looked at, or ``output``, an index or a key. Raises UserError where the module
    cannot be built, or fails.
    """
    from ctxbench.tracing import trace_case

    case, built = _resolved(
        module, shape, preset, implementation, options, inputs, output, dtype=dtype, layout=layout, mode=mode
    )
    return trace_case(case, subject=built, label=_label(module))


def count(
    module: Subject,
    shape: Shape = SHAPE,
    *,
    preset: str | None = None,
    dtype: str = "float32",
    layout: Layout = "contiguous",
    implementation: str | None = None,
    options: Mapping[str, Any] | None = None,
    inputs: str | None = None,
    output: str | int | None = None,
) -> Count:
    """Count a module's parameters, MACs, FLOPs and memory on an input of ``shape`` (N, C, H, W).

    Nothing is computed; peaks are predicted. The arguments are those of :func:`trace`, and so are the errors.

    >>> import ctxbench
    >>> ctxbench.count("reconet", (1, 512, 64, 64)).macs
    151519232
    """
    from ctxbench.report.count import Count
    from ctxbench.tracing import trace_case

    case, built = _resolved(
        module, shape, preset, implementation, options, inputs, output, dtype=dtype, layout=layout
    )
    recorded = partial(trace_case, case, subject=built, label=_label(module))
    infer, train = recorded("infer"), _trained(recorded)
    return Count.of(_label(module), infer, train, case)


def explain(
    module: str | type[nn.Module],
    shape: Shape = SHAPE,
    *,
    preset: str | None = None,
    mode: Mode = "infer",
    implementation: str | None = None,
    counters: Sequence[str] = DEFAULT,
    options: Mapping[str, Any] | None = None,
    inputs: str | None = None,
    output: str | int | None = None,
) -> Explanation:
    """Take a module's cost apart: by operation, by module, by other counters, by the leaf rule.

    The counters and the leaf rule see the published operation order, where there is one. Raises UserError as
    :func:`trace` does; what a counter makes of the module never fails the rest.
    """
    from ctxbench.counters import COUNTERS, installed, leaf_rule
    from ctxbench.report.count import Count
    from ctxbench.report.explain import Explanation
    from ctxbench.subject import bind
    from ctxbench.tracing import trace_case, views

    case, _ = _resolved(module, shape, preset, implementation, options, inputs, output)
    published = replace(case, implementation=bind.implementations(case.module)[-1])
    build = partial(bind.build_case, published)
    interface = case.interface
    recorded = partial(trace_case, label=_label(module))
    of_published = recorded(published)
    infer = of_published if published == case else recorded(case)
    train = _trained(partial(recorded, case))
    shown = train if mode == "train" else infer
    if isinstance(shown, UserError):
        raise shown
    aside = _aside if registry.spec(case.module) is None else partial
    return Explanation(
        count=Count.of(_label(module), infer, train, case),
        trace=shown,
        counters={
            name: aside(COUNTERS[name], build, shape, of_published, interface)()
            for name in installed(counters)
        },
        counted_macs=views.macs(of_published),
        leaf_rule=aside(leaf_rule.answered, build, shape, interface)(),
    )


def sweep(
    modules: Modules = (),
    *,
    axis: str = "size",
    values: Sequence[Size] = (),
    preset: str | None = None,
    channels: int = 512,
    size: Size = 64,
    options: Mapping[str, Any] | None = None,
    implementations: Sequence[str] = (),
    batch: int = 1,
    dtype: str = "float32",
    mode: Mode = "infer",
    device: str = "cpu",
    inputs: str | None = None,
    output: str | int | None = None,
    latency: bool = False,
    budget_s: float = 2.5,
    timeout_s: float = 120.0,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    command: Sequence[str] = (),
    progress: Callable[[RunProgress], None] | None = None,
) -> Sweep:
    """Fit how MACs, memory and latency grow along one axis, beside the order that its authors claim.

    ``axis`` is "size", "height", "width", "channels", "batch", "threads" (with ``latency`` alone) or an
    option such as "rank"; ``values`` are three or more along it. MACs and peak memory come from traces; with
    ``latency`` it is measured too, in processes of their own, and kept in the folder ``out``, which gets the
    table and the figure either way; ``resume`` is the folder of one that was interrupted, which goes on with
    its own settings. Raises UserError where the values are fewer than three or not the axis's, or a module
    cannot be built or run.
    """
    from ctxbench.measure.folder import Settings
    from ctxbench.report import sweep as sweeping
    from ctxbench.report.sweep_sheet import write_sweep

    if resume is not None:
        swept = sweeping.resume(Path(resume), progress=progress)
        write_sweep(Path(resume), swept)
        return swept
    if axis != "size" and (pair := next((value for value in values if not isinstance(value, int)), None)):
        raise UserError(f"the axis {axis} takes whole numbers, not {pair}")

    if not isinstance(batch, int):
        raise UserError(f"a sweep has one batch, a whole number, not {batch!r}")
    if axis == "threads" and not latency:
        raise UserError("threads change only what is measured: ask for the latency too")
    height, width = (size, size) if isinstance(size, int) else size
    fixed: dict[str, Any] = {
        "preset": preset,
        "channels": channels,
        "sizes": [(height, width)],
        "options": options or {},
        "implementations": implementations,
        "batch": batch,
        "dtype": dtype,
        "mode": mode,
        "device": device,
        "inputs": inputs,
        "output": output,
    }
    changes: dict[str, dict[str, Any]] = {
        "size": {"sizes": list(values)},
        "channels": {"channels": list(values)},
        "batch": {"batch": list(values)},
        "threads": {"threads": list(values)},
        "height": {"sizes": [(value, width) for value in values]},
        "width": {"sizes": [(height, value) for value in values]},
    }
    of_option = [{"options": {**(options or {}), axis: value}} for value in values]
    along = [changes[axis]] if axis in changes else of_option
    swept = sweeping.sweep(
        [case for change in along for case in cases(modules, **{**fixed, **change})],
        latency=latency,
        out=Path(out) if out else None,
        settings=Settings(budget_s=budget_s, timeout_s=timeout_s, counters=()),
        command=command,
        progress=progress,
    )
    if out is not None:
        write_sweep(Path(out), swept)
    return swept


def train(
    model: str | None = None,
    *,
    context: str | None = None,
    options: Mapping[str, Any] | None = None,
    backbone: str | None = None,
    dataset: str | None = None,
    root: str | Path | None = None,
    weights: str | Path | None = None,
    preset: str | None = None,
    config: str | Path | None = None,
    settings: Mapping[str, Any] | Sequence[str] = (),
    out: str | Path | None = None,
    init: str | Path | None = None,
    resume: str | Path | None = None,
    device: str | None = None,
    devices: int | None = None,
    skip_bad: bool = False,
    baseline: bool | None = None,
    log: str | Sequence[str] = (),
    progress: Callable[[TrainingProgress], None] | None = None,
) -> Trained:
    """Train a segmentation network and evaluate it, in a folder of its own.

    Without arguments: RecoNet on a generated set, beside the same network without a context module. What is
    left out is as the data set's preset has it, or ``preset``'s; ``config`` is a TOML file of settings that
    stands over it, and ``settings`` (a mapping, or ``"key=value"`` texts) over all else. ``options`` are the
    context module's. ``out`` is a folder that holds no run yet, by default one under ``runs/``; ``resume`` is
    the folder of an interrupted training, which goes on to the weights it would have had. ``log`` names
    loggers beside TensorBoard and CSV, "wandb" or "mlflow": one that fails costs its log and a warning.

    Raises UserError for bad input, a folder that holds a run or cannot be written, and a loss that is no
    number.
    """
    if resume is None:
        from ctxbench.train.presets import requested

        given = {
            "model": model,
            "context": context,
            "backbone": backbone,
            "dataset": dataset,
            "root": root,
            "weights": weights,
            "init": init,
            "device": device,
            "devices": devices,
            "skip_bad": skip_bad or None,
            "baseline": baseline,
            "log": tuple(listed(log)) or None,
        }
        file = None if config is None else Path(config)
        wanted = requested(given, file, settings, options or {}, preset)
    # below this line torch is imported, which takes seconds: what is wrong above is refused at once
    from ctxbench.train import loop

    if resume is not None:
        return loop.resume(Path(resume), progress=progress)
    return loop.train(wanted, Path(out) if out else new_folder(), progress=progress)


def probe(
    modules: Modules = (),
    *,
    preset: str | None = None,
    options: Options = (),
    inputs: str | None = None,
    output: str | int | None = None,
    tasks: Sequence[str] = (),
    seeds: int = 3,
    quick: bool = False,
    jobs: int | None = None,
    executor: Literal["here", "slurm"] = "here",
    partition: str | None = None,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    command: Sequence[str] = (),
    progress: Callable[[StudyProgress], None] | None = None,
) -> Probes:
    """Find out what kind of context modules can use: trained on generated maps that need one kind each.

    The modules, ``preset``, ``options``, ``inputs`` and ``output`` are as in :func:`profile`; no context
    module stands beside them always. ``tasks`` are those of :mod:`ctxbench.study.probes.tasks`, by default
    all; every one is trained from ``seeds`` seeds at two map sizes, and what was trained at the smaller one
    is tested at the larger one too. ``quick`` is one seed at the smaller size. ``jobs`` cells are trained at
    once, each in a process and a thread of its own, by default as many as there are cores: the same seeds
    give the same numbers. With the ``executor`` "slurm" each is a job in a ``partition`` of the cluster, and
    goes on where this process ends. ``out`` is a folder that holds no run yet, by default one under
    ``runs/``; ``resume`` is the folder of one that was interrupted, which goes on with its own settings.

    What could not be trained has a reason in its cells. Raises UserError before anything is trained where
    the input is wrong or a module cannot be built; KeyboardInterrupt leaves in the folder what has ended.
    """
    from ctxbench.study.executors import executor_of
    from ctxbench.study.probes import grid, spec
    from ctxbench.study.probes.sheet import Probes, write_probes

    place = executor_of(executor, partition, jobs)
    if resume is not None:
        folder = Path(resume)
        plan, rows = grid.resume(folder, place, progress)
    else:
        if not 1 <= seeds <= spec.MOST_SEEDS:
            raise UserError(f"a probe takes 1 to {spec.MOST_SEEDS} seeds, not {seeds}")
        folder = Path(out) if out else new_folder()
        sides = spec.SIDES[:1] if quick else spec.SIDES
        wanted = cases(
            modules, preset=preset, channels=spec.CHANNELS, sizes=max(sides), options=options,
            inputs=inputs, output=output,
        )  # fmt: skip
        plan = spec.ProbePlan(
            tuple(wanted),
            tasks=tuple(tasks) or tuple(spec.TASKS),
            sides=sides,
            seeds=tuple(range(1 if quick else seeds)),
            command=tuple(command),
        )
        plan, rows = grid.probe(plan, folder, place, progress)
    found = Probes(plan, tuple(rows))
    write_probes(folder, found)
    return found


def study(
    modules: Modules = (),
    *,
    preset: str | None = None,
    options: Options = (),
    inputs: str | None = None,
    output: str | int | None = None,
    baseline: str | None = None,
    dataset: str = "synthetic",
    root: str | Path | None = None,
    train_split: str | None = None,
    eval_split: str | None = None,
    images: int | None = None,
    backbone: str | None = None,
    stem: Literal["deep", "deep-narrow", "plain"] = "deep",
    stride_in: Literal["3x3", "1x1"] = "3x3",
    weights: str | Path | None = None,
    level: Literal["C2", "C3", "C4", "C5"] | None = None,
    size: int | None = None,
    seeds: int | None = None,
    steps: int | None = None,
    batch: int | None = None,
    quick: bool = False,
    train: bool = False,
    settings: Mapping[str, Any] | Sequence[str] = (),
    jobs: int | None = None,
    executor: Literal["here", "slurm"] = "here",
    partition: str | None = None,
    log: str | Sequence[str] = (),
    out: str | Path | None = None,
    resume: str | Path | None = None,
    command: Sequence[str] = (),
    progress: Callable[[StudyProgress], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> Study:
    """Accuracy beside cost: train heads with each module on features of a network that is not trained.

    The modules, ``preset``, ``options``, ``inputs`` and ``output`` are as in :func:`profile`; no context
    module stands beside them always, and each is compared with it and with the module named ``baseline``.
    The features are those of a ``level`` (by default C3) of the ``backbone`` (``stem``, ``stride_in`` and
    ``weights`` as in a training's settings; random weights without a file) for images resized to ``size`` ×
    ``size``, and their mirror images; they are computed once and kept in the user's cache. ``images`` is how
    many of the training split are taken, by default all. Without a data set it is the generated one, on a
    small backbone.

    With ``train``, whole networks are trained instead, a run of :func:`train` for each module and seed, with
    the preset of the data set and ``settings`` over it; ``steps`` are iterations, the cost is that of each
    module at its place in the network, and intervals are over seeds. The global pooling module is left out
    unless the settings have it. ``say`` is told how long that will take.

    From each of ``seeds`` seeds (by default 3) a head is trained for ``steps`` steps (300) of ``batch``, with
    the same batches for every module, and evaluated on the whole ``eval_split``. ``quick`` is two seeds and
    150 steps, where they are not given. ``jobs``, ``executor``, ``partition``, ``out`` and ``resume`` are as
    in :func:`probe`. ``log`` names loggers, "wandb" or "mlflow", that get what was found as one run.

    What could not be trained has a reason in its row. Raises UserError before anything is trained where the
    input is wrong, a module cannot be built, or data or weights cannot be read; KeyboardInterrupt leaves in
    the folder what has ended.
    """
    from ctxbench.study.accuracy.sheet import Study, log_study, write_study
    from ctxbench.study.executors import executor_of
    from ctxbench.study.frozen import grid, spec
    from ctxbench.study.whole.spec import config_of, trains
    from ctxbench.study.whole.spec import planned as whole_planned

    place = executor_of(executor, partition, jobs)
    folder = Path(resume or out or new_folder())
    network: dict[str, Any] = {
        "dataset": dataset,
        "root": None if root is None else str(Path(root).absolute()),
        "train_split": train_split,
        "eval_split": eval_split,
        "stem": stem,
        "stride_in": stride_in,
        "weights": None if weights is None else str(Path(weights).absolute()),
    }
    if resume is not None and not trains(folder):
        studied = grid.resume(folder, place, progress)
    elif resume is not None:
        from ctxbench.study.whole import study as whole

        studied = whole.resume(folder, place, progress, say)
    elif train:
        frozen = {"images": images, "level": level, "size": size, "inputs": inputs, "output": output}
        if given := [name for name, value in frozen.items() if value is not None]:
            raise UserError(f"not for whole networks, but for frozen features: {', '.join(given)}")
        flags = {**network, "backbone": backbone, "batch": batch}
        config = config_of(flags, settings, steps=steps, quick=quick)
        from ctxbench.networks.resnet import feature_size
        from ctxbench.study.whole import study as whole

        wanted = cases(
            modules, preset=preset, channels=config.channels, sizes=feature_size(config.crop), options=options
        )
        training = whole_planned(
            wanted, config, baseline=baseline, seeds=seeds, quick=quick, log=listed(log), command=command
        )
        studied = whole.study(training, folder, place, progress, say)
    else:
        if settings:
            raise UserError("settings are of a training of whole networks: give train with them")
        source = spec.Source(
            **network,
            backbone=backbone or spec.backbone_of(dataset),
            level=level or "C3",
            side=spec.SIDES.get(dataset, spec.SIDE) if size is None else size,
            images=images,
        )
        wanted = cases(
            modules, preset=preset, channels=spec.WIDTH, sizes=source.map_side, options=options,
            inputs=inputs, output=output,
        )  # fmt: skip
        plan = spec.planned(
            wanted, source, baseline=baseline, seeds=seeds, steps=steps,
            batch=spec.BATCH if batch is None else batch, quick=quick, log=listed(log), command=command,
        )  # fmt: skip
        studied = grid.study(plan, folder, place, progress)
    found = Study(studied)
    write_study(folder, found)
    log_study(folder, found)
    return found


def evaluate(
    run: str | Path | None = None,
    *,
    predictions: str | Path | None = None,
    dataset: str | None = None,
    root: str | Path | None = None,
    split: str | None = None,
    classes59: bool = False,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    sliding: int | None = None,
    checkpoint: Literal["best", "last"] = "last",
    save_predictions: bool = False,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    devices: int = 1,
    precision: Precision = "32-true",
    batch: int = 1,
    workers: int = 0,
    skip_bad: bool = False,
    out: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Score a training run's network, or a folder of ``predictions``, on every image of a data set.

    ``dataset``, ``root`` and ``split`` are by default the run's own; predictions need the data set they are
    of. ``classes59`` leaves PASCAL-Context's background out of truth and prediction: the mean times 59/60,
    the evaluation's ``reported_miou``, is what papers print as 60 classes. ``scales`` are factors of the
    image's size, whose probabilities are averaged, mirrored too with ``flip``; ``sliding`` is the side of
    square windows in pixels, 2/3 of it apart. Files go to ``out``, by default a folder of the run;
    ``progress`` is told how many images are done, of how many.

    Raises UserError where the run has no such weights, they are for other classes, or the data set, the
    device or a sample is refused.
    """
    if (run is None) == (predictions is None):
        raise UserError("give either a training run's folder or a folder of predictions")
    if predictions is not None and dataset is None:
        raise UserError("predictions need the data set that they are of")
    from ctxbench.data import classes59 as without_background
    from ctxbench.evaluate.predict import Setting
    from ctxbench.evaluate.predictions import evaluate_predictions
    from ctxbench.train.evaluation import evaluate_run, open_split
    from ctxbench.train.run import TrainedRun

    place = None if root is None else Path(root)
    folder = None if out is None else Path(out)
    if predictions is not None:
        if classes59:
            dataset = without_background(str(dataset))
        data, skipped = open_split(str(dataset), place, split, skip_bad)
        return evaluate_predictions(Path(predictions), data, skipped=skipped, out=folder, progress=progress)
    trained = TrainedRun(Path(str(run)))
    config = trained.config
    if dataset in (None, config.dataset):
        dataset, split = config.dataset, split or config.eval_split
        place = place or (Path(config.root) if config.root else None)
    if classes59:
        dataset = without_background(str(dataset))
    data, skipped = open_split(str(dataset), place, split, skip_bad)
    return evaluate_run(
        trained,
        data,
        which=checkpoint,
        setting=Setting(tuple(scales), flip, sliding, precision),
        device=device,
        devices=devices,
        batch=batch,
        workers=workers,
        skipped=skipped,
        save_predictions=save_predictions,
        out=folder,
        progress=progress,
    )


def attention(
    run: str | Path,
    image: str | Path,
    *,
    ranks: Sequence[int] = (),
    truth: str | Path | None = None,
    checkpoint: Literal["best", "last"] = "best",
    out: str | Path | None = None,
) -> Path:
    """Draw the sub-attention maps of a trained network over an image; the picture's path.

    ``ranks`` say which maps, from 0; by default four at random, always the same. ``truth`` is a mask file of
    the run's data set. Raises UserError where the run has no such maps, or a file cannot be read or written.
    """
    from ctxbench.train.attention import draw_attention

    return draw_attention(
        Path(run),
        Path(image),
        ranks=ranks,
        truth=None if truth is None else Path(truth),
        which=checkpoint,
        out=None if out is None else Path(out),
    )


def check_data(
    name: str,
    root: str | Path | None = None,
    *,
    split: str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[Check]:
    """Read every image and mask of a data set: a check for each split, by default those that are used.

    What is wrong with a sample is in the checks, not raised. ``progress`` is told the split, how many samples
    are done, of how many. Raises UserError where there is no such data set, or its masks can be read in two
    ways.
    """
    from ctxbench.data import DATASETS, open_dataset
    from ctxbench.data.check import check_dataset

    info = DATASETS.get(name)
    splits = [split] if split or info is None else [info.train_split, info.eval_split]
    opened = [open_dataset(name, None if root is None else Path(root), each) for each in splits]
    return [
        check_dataset(dataset, None if progress is None else partial(progress, dataset.split))
        for dataset in opened
    ]


def decode(
    module: str,
    *printed: str,
    shape: Shape = SHAPE,
    options: Mapping[str, Any] | None = None,
    inputs: str | None = None,
    output: str | int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Decoding:
    """Find the conventions that a printed number fits: ``decode("nonlocal", "21.47G", "160MB")``.

    ``printed`` are a number of FLOPs or MACs, one of memory, one of parameters (``"0.14Mparams"``), or
    several of these, each with its unit; in ``module``, ``?`` stands for what is not known, as in
    ``nonlocal(C, width=?)``. ``progress`` is told how many runs of the module are done, of how many. Raises
    UserError where a number cannot be read, or the module cannot be built or run.
    """
    from ctxbench.audit.search import decode as search

    return search(
        module,
        *printed,
        shape=_four(shape),
        options=options,
        asked=asked_for(inputs, output),
        progress=progress,
    )


def audit(
    table: str | Path | None = None,
    *,
    paper: str | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Audit:
    """Find what the printed numbers of a paper's table count: ``audit("table.csv")``.

    ``table`` is a CSV with the columns ``subject`` and ``flops``, ``memory`` or ``parameters``, and where
    they are known ``label``, ``shape``, ``channels``, ``size``, ``counts``, ``source`` and ``verified``;
    ``paper`` is one whose table comes with ctxbench. ``progress`` is told how many rows are done, of how
    many, and which is next. Rows that cannot be read are named in its ``problems``.
    Raises UserError where there is no such table or paper, or its header lacks what is needed.
    """
    from ctxbench.audit.literature import paper_table
    from ctxbench.audit.rows import read_table

    if (table is None) == (paper is None):
        raise UserError("give a table, or a paper whose table comes with ctxbench")
    read = read_table(Path(table)) if table is not None else paper_table(str(paper))
    from ctxbench.audit.auditing import audit as search  # torch, which a table that is none needs not

    return search(read, progress=progress)


def register_formula(op: Any, *, macs: Formula | None = None, flops: Formula | None = None) -> None:
    """Say what an operation of your own costs, for every count made in this process from now on.

    ``op`` is the operation (``torch.ops.mine.double``, or what ``torch.library.custom_op`` returned) or its
    name, ``"mine::double"``. ``macs`` are its multiply–accumulates, ``flops`` 2·MACs and what it does
    element by element; where one is left out, ``flops`` is 2·``macs``, or ``macs`` is 0. Each is a number,
    or a function that is called as the operation was, with ``out=`` its result (of which only the shape is
    there), and returns one. An installed package offers formulas by an entry point of the group
    ``ctxbench.formulas``: a function without arguments that makes these calls.

    Raises ValueError where neither is given, and TypeError where ``op`` is no operation.

    >>> import ctxbench
    >>> ctxbench.register_formula("mine::double", flops=lambda x, out: out.numel())
    """
    from ctxbench.tracing import register_formula as register

    register(op, macs=macs, flops=flops)


def environment(device: str = "cpu") -> dict[str, Any]:
    """What a record says of this machine, by name. Raises UserError where there is no such device."""
    from ctxbench.measure.environment import environment as of_device

    return of_device(device)


def _trained(recorded: Callable[[Mode], Trace]) -> Trace | UserError:
    """The trace of a training pass, or why there is none: a block may be for inference alone."""
    try:
        return recorded("train")
    except UserError as error:
        return error


def new_folder(shard: tuple[int, int] | None = None) -> Path:
    """Where a run goes that names no folder: ``runs/`` and the time, in UTC; shards begin at one time."""
    part = "" if shard is None else f"-{shard[0]}of{shard[1]}"
    return Path("runs") / f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}{part}"


def load_report(folders: Sequence[str | Path], out: str | Path | None = None) -> Report:
    """Read runs, whose report goes to ``out``, by default the only run's own folder, or a new one.

    Raises UserError as :func:`report` does.
    """
    from ctxbench.report import run
    from ctxbench.study.accuracies import read_run, run_folder

    if not folders:
        raise UserError("name the folder of a run, or of several")
    places = [run_folder(Path(folder)) for folder in folders]
    where = Path(out) if out else places[0] if len(places) == 1 else new_folder()
    return run.load_report(places, where, read_run)


def _four(shape: Shape) -> Shape:
    if len(shape) != 4 or isinstance(shape[0], str):  # a batch to be found is profile's alone
        raise UserError(f"a shape is (N, C, H, W), not {tuple(shape)}")
    return shape


def _resolved(
    module: Subject,
    shape: Shape,
    preset: str | None,
    implementation: str | None,
    options: Mapping[str, Any] | None,
    inputs: str | None,
    output: str | int | None,
    **more: Any,
) -> tuple[Case, nn.Module | None]:
    """The case of a subject, and the module itself where that is there already."""
    batch, channels, height, width = _four(shape)
    module = registry.place(module) if isinstance(module, type) else module
    if isinstance(module, str):
        (case,) = cases(
            module,
            preset=preset,
            channels=channels,
            sizes=[(height, width)],
            options=options or {},
            implementations=[implementation] if implementation else [],
            batch=batch,
            inputs=inputs,
            output=output,
            **more,
        )
        return case, None
    if options or implementation or preset:
        raise UserError(
            f"this {type(module).__name__} is built already: preset, options and implementation go with names"
        )
    from ctxbench.tracing.count import called

    case = Case(SELF, channels, height, width, implementation=SINGLE, batch=batch, **more)
    validate(case)
    return called(case, module, asked_for(inputs, output)), module


def _aside(call: Callable[..., dict[str, Any]], *arguments: Any) -> Callable[[], dict[str, Any]]:
    """``call`` in a process of its own: what crashes in a stranger's block costs that answer alone."""
    from ctxbench.counters.answer import refusal
    from ctxbench.sandbox.child import in_child

    def answered() -> dict[str, Any]:
        try:
            return in_child(partial(call, *arguments))
        except UserError as error:
            return refusal(str(error))

    return answered


def _label(module: Subject) -> str:
    if isinstance(module, type):
        return module.__name__
    if not isinstance(module, str):
        return type(module).__name__
    known = registry.spec(module)
    return known.title if known else label(module)
