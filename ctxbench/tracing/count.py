"""The one door to what a case costs without running it: its trace, or in one line why there is none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn

from ctxbench.errors import UserError, in_one_line, in_users_code
from ctxbench.subject.bind import build_case, layout_of
from ctxbench.subject.bound import Binding
from ctxbench.tracing.ops import Trace
from ctxbench.tracing.record import DATA_DEPENDENT, trace

if TYPE_CHECKING:
    from ctxbench.subject.case import Case, Mode
    from ctxbench.subject.interface import Interface
    from ctxbench.tracing.record import Subject

ONE_VALUE = "Expected more than 1 value per channel when training"
"""How torch begins when a normalisation over batch and positions has one value to take a variance of."""


@dataclass(frozen=True)
class NotCounted:
    """Why a case has no trace: in one line, and the error itself."""

    reason: str
    error: BaseException


def count_case(case: Case, mode: Mode | None = None, *, subject: Subject | None = None) -> Trace | NotCounted:
    """Record a pass of a case's module, without computing it, in the case's mode or another.

    ``subject`` is a module, or a function that builds one, that stands for the case's own. What a module
    raises is returned, whatever it is, except where this runs inside a recording already and that one has to
    see that the module asks for values.
    """
    build = partial(build_case, case) if subject is None else subject
    dtype: torch.dtype = getattr(torch, case.dtype)
    try:
        return trace(
            build,
            case.shape,
            dtype=dtype,
            layout=case.layout,
            mode=mode or case.mode,
            interface=case.interface,
        )
    except DATA_DEPENDENT:  # trace() runs such a module for real, and only an outer recording is in the way
        raise
    except (Exception, SystemExit) as error:  # a user's module may raise anything at all
        return NotCounted(reason_of(error), error)


def called(case: Case, module: nn.Module, asked: Interface | None) -> Case:
    """The case of a module that is there already, with how it is called.

    Without ``asked``, it is given one map; where that fails or gives no map, or where C equals a side, so
    that a map could be taken for something else, the layout is found out by trial.
    """
    if asked is not None and asked.inputs:
        return replace(case, binding=Binding(inputs=asked.inputs, output=asked.output))
    if asked is None and case.channels not in (case.height, case.width):
        answer = count_case(case, "infer", subject=module)
        n, _, *sides = case.shape
        if isinstance(answer, Trace) and [*answer.output_shape[:1], *answer.output_shape[2:]] == [n, *sides]:
            return case
    try:
        return replace(case, binding=layout_of(module, asked, case.shape))
    except UserError:
        return case  # what it raises with one map says more


def trace_case(
    case: Case, mode: Mode | None = None, *, subject: Subject | None = None, label: str = ""
) -> Trace:
    """The trace of :func:`count_case`. Raises UserError, naming the module and its input, without one.

    ``label`` is what the error calls the module; by default its name.
    """
    answer = count_case(case, mode, subject=subject)
    if not isinstance(answer, NotCounted):
        return answer
    if isinstance(answer.error, UserError):
        raise answer.error
    doing = "forward and backward" if (mode or case.mode) == "train" else "forward"
    raise UserError(
        f"{label or case.module} fails {doing} on {case.shape}: {answer.reason}{in_users_code(answer.error)}"
    ) from answer.error


def reason_of(error: BaseException) -> str:
    """What a module raised, in one line; where a batch norm had one value, which one, and the way out."""
    if str(error).startswith(ONE_VALUE):
        # what was raised in a process of its own has lost its frames; its cause, on fake tensors, has them
        layer = _innermost_layer(error) or (_innermost_layer(error.__cause__) if error.__cause__ else "")
        which = f"the normalisation {layer!r}" if layer else "a normalisation"
        return f"{which} has one value a channel to take a variance of in training; --batch 2 measures it"
    return in_one_line(error)


def _innermost_layer(error: BaseException) -> str:
    """Dotted path, in the outermost module, of the layer that was being called; empty where none was."""
    called: list[nn.Module] = []
    step = error.__traceback__
    while step is not None:
        owner = step.tb_frame.f_locals.get("self")
        if step.tb_frame.f_code.co_name == "_call_impl" and isinstance(owner, nn.Module):
            called.append(owner)
        step = step.tb_next
    paths = {id(part): path for outermost in called[:1] for path, part in outermost.named_modules()}
    return next((paths[id(part)] for part in reversed(called) if id(part) in paths), "")
