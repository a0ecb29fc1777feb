"""Whether a runtime gives what the module gives in eager, found out before its time is taken.

The *error* of an output is its largest difference from eager's in float64, in units of the largest value
there: max |y − ŷ| / max |ŷ|. Weights are random, and inputs those that are measured with.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from ctxbench.errors import UserError, in_one_line
from ctxbench.measure.worker.call import SEED, MeasuredCall
from ctxbench.subject.case import Case

TOLERANCE = {"float64": 1e-10, "float32": 1e-4, "float16": 1e-2, "bfloat16": 5e-2}
"""The largest error that a runtime may have, by dtype ..."""
BESIDE_EAGER = 2.0
"""... or so many times eager's own in that dtype, where this is more: in TF32, or where rounding decides."""
GATE = 0.1
"""The standard deviation that parameters get which are zero."""


def open_gates(module: nn.Module) -> None:
    """Give values to the parameters that are zero in every element, as after a training.

    A zero gate hides what it is multiplied with from any look at the output, and a runtime that folds
    constants may leave that out.
    """
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.numel() and not parameter.any():
                values = GATE * torch.randn(parameter.shape, generator=generator)
                parameter.copy_(values)


def check(case: Case, call: MeasuredCall) -> dict[str, Any]:
    """The fields of a record on how far the call's output is from eager's, or why that is not known.

    Raises UserError where it is too far.
    """
    try:
        before = copy.deepcopy(call.module)
        exact, warnings = _exact(case, before, call)
    except (Exception, SystemExit) as error:  # a user's module may raise anything
        return {"reasons": {"output_error": f"nothing to hold the output against: {in_one_line(error)}"}}
    torch.manual_seed(SEED)
    found = error_of(call().detach(), exact)
    call.clear()
    tolerance = TOLERANCE[case.dtype]
    if found > tolerance:
        eager = error_of(_eager(case, before, call, case.dtype), exact)
        if error_of(_eager(case, before, call, case.dtype, SEED + 1), exact) > max(
            tolerance, BESIDE_EAGER * eager
        ):
            return {"reasons": {"output_error": "the module's own output differs from call to call"}}
        if found > max(tolerance, BESIDE_EAGER * eager):
            raise UserError(
                f"its output is off by {found:.2g} of the largest value from eager's in float64, where "
                f"{tolerance:g} is tolerated in {case.dtype} (eager itself: {eager:.2g}): not timed"
            )
    return {"output_error": found, "warnings": warnings}


def error_of(output: Tensor, exact: Tensor) -> float:
    """The largest difference in units of the largest value; infinite where only one of the two is finite.

    Values that are not finite in both, where they should not be but are, count for nothing.
    """
    y, exact = output.to("cpu", torch.float64), exact.to("cpu", torch.float64)
    if y.shape != exact.shape or not torch.equal(y.isfinite(), exact.isfinite()):
        return math.inf
    finite = exact.isfinite()
    if not bool(finite.any()):
        return 0.0
    difference, largest = ((part[finite]).abs().max().item() for part in (y - exact, exact))
    return difference / largest if largest else math.inf if difference else 0.0


def _exact(case: Case, module: nn.Module, call: MeasuredCall) -> tuple[Tensor, list[str]]:
    """What eager gives in float64; for a module that fails there, in its case's dtype, which is said."""
    try:
        return _eager(case, module, call, "float64"), []
    except Exception as error:
        said = (
            f"its output is held against eager's in {case.dtype}: in float64 it fails ({in_one_line(error)})"
        )
        return _eager(case, module, call, case.dtype), [said]


def _eager(case: Case, module: nn.Module, call: MeasuredCall, dtype: str, seed: int = SEED) -> Tensor:
    kind: torch.dtype = getattr(torch, dtype)
    own = copy.deepcopy(module).to(kind)
    given = call.given.replaced(lambda x: x.detach().to(kind))
    torch.manual_seed(seed)
    with torch.no_grad():
        return case.interface.pick(own(*given.args, **given.kwargs))
