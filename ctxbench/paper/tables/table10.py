"""Table 10 regenerated: eight context modules, counted by the paper's rule and by one rule, and measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from ctxbench.errors import UserError
from ctxbench.measure import session
from ctxbench.measure.environment import environment, fingerprint
from ctxbench.measure.folder import PLAN, Plan, Run, RunFolder, Settings
from ctxbench.measure.progress import RunProgress
from ctxbench.measure.records import Record
from ctxbench.measure.stats import NOISY
from ctxbench.paper.comparison import (
    BASELINE,
    FORMS,
    SUBJECT,
    Comparison,
    compare,
    in_words,
    ratio,
)
from ctxbench.paper.comparison_sheet import ROW, TITLE, Forms, Row
from ctxbench.paper.offers.presets import TABLE10
from ctxbench.paper.printed.table10 import PAPER_SHAPE, PrintedRow
from ctxbench.paper.printed.table10 import table10 as printed_rows
from ctxbench.paper.provenance import origin
from ctxbench.paper.sheet import Sheet
from ctxbench.report.columns import LATENCY_CI, status
from ctxbench.report.figures.plots import bars
from ctxbench.subject import bind, registry
from ctxbench.subject.bind import build_case
from ctxbench.subject.case import Case, validate
from ctxbench.table.column import frame, lay_out, significant
from ctxbench.table.grid import EMPTY

RANK = 64
"""Of TGM+TRM in Table 10."""
QUICK_S = 0.5
"""Budget of latency sampling for each case of a quick run."""


def table10(
    out: Path,
    *,
    channels: int = PAPER_SHAPE[1],
    size: tuple[int, int] = PAPER_SHAPE[2:],
    rank: int = RANK,
    device: str = "cpu",
    quick: bool = False,
    command: Sequence[str] = (),
    progress: Callable[[RunProgress], None] | None = None,
) -> Sheet:
    """Measure Table 10's modules, in the published and the fast form, at the paper's shape or another.

    The records go to a folder in ``out``, named as the sheet; what it holds already is not measured again.
    Raises UserError where that folder holds a run of other cases, or one that was quick where this is not, or
    not where this is; and where there is no such device.
    """
    shape = (1, channels, *size)
    name = _name(channels, size, rank)
    as_printed = name == "table10"
    run = _run(out / name, _cases(channels, size, rank, device), _settings(quick), command, progress)
    forms = _by_module(run.records)
    comparisons = compare(run.records) if as_printed else _unprinted(forms)
    rows = [Row(comparison, forms[comparison.module]) for comparison in comparisons]
    at = f"input {'×'.join(map(str, shape))}, rank {rank}"
    title = TITLE if as_printed else f"Table 10 at {at}: by its own rule, and by a uniform one"
    grid = lay_out(title, ROW, [("", rows)])
    grid.findings += [*(in_words(comparisons) if as_printed else []), *_in_words(forms, as_printed)]
    grid.notes += [
        "Own rule: leaf modules alone, last call wins. Uniform: MACs of every convolution and matrix "
        "product, every call; FLOPs are 2·MACs + element-wise operations. Peak: above parameters and input.",
        *_noise(run.records),
    ]
    return Sheet(
        name,
        f"Table 10 · complexity of context modules, {at}",
        grid,
        frame(ROW, rows),
        origin(device, run.plan.command, run.plan.environments[device], run.plan.created_at),
        figure=bars(run.records),
    )


def check(out: Path, *, channels: int, size: tuple[int, int], rank: int, device: str, quick: bool) -> None:
    """Raise UserError where :func:`table10` would, as far as that is known before anything is measured."""
    here = environment(device)
    cases = _cases(channels, size, rank, device)
    for case in cases:
        validate(case)
        with torch.device("meta"):
            build_case(case)
    folder = out / _name(channels, size, rank)
    if not (folder / PLAN).exists():
        return
    _refuse_another(folder, cases, _settings(quick))
    with RunFolder.resume(folder) as begun:
        if len(begun.done) < len(cases) and fingerprint(begun.plan.environments[device]) != fingerprint(here):
            raise UserError(f"{folder} was begun in another environment: give another --out, or delete it")


def _name(channels: int, size: tuple[int, int], rank: int) -> str:
    """The sheet's, and its folder's."""
    shape = (1, channels, *size)
    if (shape, rank) == (PAPER_SHAPE, RANK):
        return "table10"
    return f"table10_{'x'.join(map(str, shape[1:]))}_rank{rank}"


def _settings(quick: bool) -> Settings:
    return Settings(budget_s=QUICK_S, counters=()) if quick else Settings(counters=())


def _cases(channels: int, size: tuple[int, int], rank: int, device: str) -> list[Case]:
    cases = []
    for module in printed_rows():
        row = TABLE10.row(module)
        options = dict(row.options(channels))
        if "rank" in options:
            options["rank"] = rank
        cases += [
            Case(
                module,
                channels,
                *size,
                options=options,
                implementation=form,
                device=device,
                rule_options=dict(row.rule_options),
            )
            for form in bind.implementations(module)
        ]
    return cases


def _run(
    folder: Path,
    cases: Sequence[Case],
    settings: Settings,
    command: Sequence[str],
    progress: Callable[[RunProgress], None] | None,
) -> Run:
    """Measure, or go on with what ``folder`` holds."""
    if not (folder / PLAN).exists():
        return session.measure_cases(cases, settings=settings, out=folder, command=command, progress=progress)
    _refuse_another(folder, cases, settings)
    return session.resume_run(folder, progress=progress)


def _refuse_another(folder: Path, cases: Sequence[Case], settings: Settings) -> None:
    """Raise UserError where ``folder`` holds a run of other cases, or of latency sampled for another time."""
    plan = Plan.read(folder)
    if {case.id for case in plan.cases} != {case.id for case in cases}:
        raise UserError(f"{folder} holds a run of other cases: give another --out, or delete it")
    then, now = plan.settings.budget_s, settings.budget_s
    if then != now:
        asked = "leave out" if now == QUICK_S else "give"
        raise UserError(
            f"{folder} holds a run that sampled latency for {then:g} s a case, and this would for {now:g} s: "
            f"{asked} --quick, give another --out, or delete it"
        )


def _by_module(records: Sequence[Record]) -> Mapping[str, Forms]:
    """Each module's records by form; a module of a single form has it under both."""
    modules: dict[str, dict[str, Record]] = {}
    for record in records:
        form = record.case.implementation
        names = FORMS if form == registry.SINGLE else (form,)
        modules.setdefault(record.case.module, {}).update(dict.fromkeys(names, record))
    return modules


def _unprinted(forms: Mapping[str, Forms]) -> list[Comparison]:
    """The rows at a shape of which the paper printed nothing."""
    subject = forms[SUBJECT]
    shape = "×".join(map(str, PAPER_SHAPE))
    return [
        Comparison(
            printed=PrintedRow(module, printed.label, "", ""),
            paper=forms[module]["published"].leaf_rule,
            published_macs=forms[module]["published"].macs,
            fast_macs=forms[module]["fast"].macs,
            published_ratio=ratio(forms[module]["published"].macs, subject["published"].macs),
            fast_ratio=ratio(forms[module]["fast"].macs, subject["fast"].macs),
            verdict="",
            reason=f"printed for {shape} and rank {RANK} alone",
            options=forms[module]["published"].case.options,
        )
        for module, printed in printed_rows().items()
    ]


def _noise(records: Sequence[Record]) -> list[str]:
    noisy = sum(status(record) == "noisy" for record in records)
    shares = [share for record in records if (share := LATENCY_CI.value(record)) is not None]
    if not shares:
        return []
    widest = f"its 95 % interval is ±{100 * max(shares):.1f} % at most"
    wide = f"~ noisy, {noisy} of {len(records)}: its interval is wider than ±{100 * NOISY:.0f} %, or unknown"
    return [f"Latency: median of one call; {wide if noisy else widest}."]


def _in_words(forms: Mapping[str, Forms], as_printed: bool) -> list[str]:
    """What the uniform numbers say of TGM+TRM beside Non-Local, in sentences computed from them."""
    sentences = []
    subject, baseline = forms[SUBJECT], forms[BASELINE]
    if not as_printed and subject["fast"].macs and baseline["fast"].macs:
        counts = {form: _over(baseline, subject, form, lambda record: record.macs) for form in FORMS}
        sentences.append(
            f"Here Non-Local takes {counts['published']} times the MACs of TGM+TRM in the published forms, "
            f"{counts['fast']} times in the fast ones."
        )
    peaks = {form: _over(subject, baseline, form, lambda record: record.peak_pred_bytes) for form in FORMS}
    if EMPTY not in peaks.values():
        sentences.append(
            f"TGM+TRM's predicted peak is {peaks['published']} times Non-Local's in the published forms, "
            f"where it keeps a map for every rank, {peaks['fast']} times in the fast ones."
        )
    times = {form: _over(baseline, subject, form, lambda record: record.latency.median_ms) for form in FORMS}
    noisy = any(status(record) == "noisy" for record in (*subject.values(), *baseline.values()))
    if EMPTY not in times.values() and not noisy:
        sentences.append(
            f"On {subject['fast'].case.device} a call of Non-Local takes {times['published']} times as long "
            f"as one of TGM+TRM in the published forms, {times['fast']} times in the fast ones."
        )
    return sentences


def _over(a: Forms, b: Forms, form: str, value: Callable[[Record], float | None]) -> str:
    above, below = value(a[form]), value(b[form])
    return significant(above / below, 2) if above is not None and below else EMPTY
