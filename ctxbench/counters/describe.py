"""The static half of a record: what a case costs by counting, without running it."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from ctxbench.counters import COUNTERS, LEAF_RULE, leaf_rule
from ctxbench.counters.answer import refusal
from ctxbench.subject import bind
from ctxbench.subject.bind import build_case
from ctxbench.subject.case import Case
from ctxbench.tracing import NotCounted, Trace, count_case, views
from ctxbench.tracing.cuda import NotSimulatedError, peak_reserved, settings_here

CUDA_NOTE = "counts and the predicted peak assume the kernels that PyTorch dispatches to on the CPU"


def describe(case: Case, counters: tuple[str, ...]) -> dict[str, Any]:
    """Fields of the case's record that come from traces and counters.

    Whatever cannot be counted is left out, with its reason; nothing here decides the record's status.
    """
    values: dict[str, Any] = {}
    reasons: dict[str, str] = {}

    def fill(source: Trace | NotCounted, **view: Callable[[Trace], object]) -> None:
        for field, of in view.items():
            if isinstance(source, NotCounted):
                reasons[field] = source.reason
            else:
                values[field] = of(source)

    published = replace(case, implementation=bind.implementations(case.module)[-1])
    infer, train = count_case(case, "infer"), count_case(case, "train")
    cuda = case.device.startswith("cuda")
    fill(
        infer,
        params=lambda trace: trace.params,
        macs=views.macs,
        flops=views.flops,
        bytes=views.bytes_moved,
        output_shape=lambda trace: trace.output_shape,
    )
    fill(train, bwd_macs=partial(views.macs, phase="backward"), act_bytes=views.saved_bytes)
    measured = infer if case.mode == "infer" else train
    fill(measured, peak_pred_bytes=partial(views.peak_bytes, block=views.block_of(case.device)))
    try:
        settings = settings_here(case.device)
        fill(measured, reserved_sim_bytes=lambda trace: peak_reserved(trace, settings))
    except NotSimulatedError as error:
        reasons["reserved_sim_bytes"] = str(error)
    if isinstance(measured, Trace) and not cuda:
        values["peak_pred_note"] = views.peak_note(measured)
    of_published = infer if published == case else count_case(published, "infer")
    fill(of_published, published_macs=views.macs)
    traces = [answer for answer in (train, infer) if isinstance(answer, Trace)]
    return {
        **values,
        "unknown_ops": {op: calls for trace in traces for op, calls in trace.unknown_ops.items()},
        "note": next((trace.note for trace in traces if trace.note), CUDA_NOTE if cuda else ""),
        "counters": {
            **_opinions(published, of_published, counters),
            LEAF_RULE: _leaf_rule(published),
        },
        "reasons": reasons,
    }


def _opinions(
    published: Case, recorded: Trace | NotCounted, counters: tuple[str, ...]
) -> dict[str, dict[str, Any]]:
    """What each counter makes of the published form, as it is built: in float32.

    ``recorded`` is the published form's own trace, of which there is none where the module does not run.
    """
    plain = replace(published, dtype="float32", layout="contiguous", mode="infer")
    if counters and (plain.dtype, plain.layout) != (published.dtype, published.layout):
        recorded = count_case(plain)
    if isinstance(recorded, NotCounted):
        return {name: refusal(recorded.reason) for name in counters}
    build = partial(build_case, plain)
    return {name: COUNTERS[name](build, plain.shape, recorded, plain.interface) for name in counters}


def _leaf_rule(case: Case) -> dict[str, Any]:
    """The leaf rule over the published form; ``config`` says in which configuration."""
    case = replace(case, options={**case.options, **case.rule_options})
    counted = leaf_rule.answered(partial(build_case, case), case.shape, case.interface)
    return counted if "reason" in counted else {**counted, "config": case.config}
