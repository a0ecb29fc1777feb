"""The static half of a record: what a case costs by counting, without running it."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from ctxbench.counters import COUNTERS, LEAF_RULE, leaf_rule
from ctxbench.errors import in_one_line
from ctxbench.subject import bind
from ctxbench.subject.bind import build_case
from ctxbench.subject.case import Case, Mode
from ctxbench.tracing import Trace, trace, views

CUDA_NOTE = "counts and the predicted peak assume the kernels that PyTorch dispatches to on the CPU"


def describe(case: Case, counters: tuple[str, ...]) -> dict[str, Any]:
    """Fields of the case's record that come from traces and counters.

    Whatever cannot be counted is left out, with its reason; nothing here decides the record's status.
    """
    values: dict[str, Any] = {}
    reasons: dict[str, str] = {}

    def fill(source: Trace | str, **view: Callable[[Trace], object]) -> None:
        for field, of in view.items():
            if isinstance(source, str):
                reasons[field] = source
            else:
                values[field] = of(source)

    published = replace(case, implementation=bind.implementations(case.module)[-1])
    infer, train = _trace(case, "infer"), _trace(case, "train")
    cuda = case.device.startswith("cuda")
    block = views.CUDA_BLOCK if cuda else 1
    fill(
        infer,
        params=lambda trace: trace.params,
        macs=views.macs,
        flops=views.flops,
        bytes=views.bytes_moved,
    )
    fill(train, bwd_macs=partial(views.macs, phase="backward"), act_bytes=views.saved_bytes)
    fill(infer if case.mode == "infer" else train, peak_pred_bytes=partial(views.peak_bytes, block=block))
    fill(infer if published == case else _trace(published, "infer"), published_macs=views.macs)
    traces = [told for told in (train, infer) if isinstance(told, Trace)]
    return {
        **values,
        "unknown_ops": {op: calls for told in traces for op, calls in views.unknown_ops(told).items()},
        "note": next((told.note for told in traces if told.note), CUDA_NOTE if cuda else ""),
        "counters": {
            **{name: COUNTERS[name](partial(build_case, published), case.shape) for name in counters},
            LEAF_RULE: _leaf_rule(published),
        },
        "reasons": reasons,
    }


def _trace(case: Case, mode: Mode) -> Trace | str:
    """The trace, or why there is none."""
    build, dtype = partial(build_case, case), getattr(torch, case.dtype)
    try:
        return trace(build, case.shape, dtype=dtype, layout=case.layout, mode=mode)
    except Exception as error:  # a stranger's module may raise anything at all
        return in_one_line(error)


def _leaf_rule(case: Case) -> dict[str, Any]:
    """The leaf rule over the published form; ``config`` says in which configuration."""
    case = replace(case, options={**case.options, **case.rule_options})
    try:
        return {**leaf_rule.count(partial(build_case, case), case.shape), "config": case.config}
    except Exception as error:  # a user's module may raise anything at all
        return {"reason": in_one_line(error)}
