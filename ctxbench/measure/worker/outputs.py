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
        eager = _Eager(case, call)
        exact, warnings = eager.exactly()
    except (Exception, SystemExit) as error:  # a user's module may raise anything
        return {"reasons": {"output_error": f"nothing to hold the output against: {in_one_line(error)}"}}
    torch.manual_seed(SEED)
    found = error_of(call().detach(), exact)
    call.clear()
    tolerance = TOLERANCE[case.dtype]
    if found > tolerance:
        own = error_of(eager(case.dtype), exact)
        tolerated = max(tolerance, BESIDE_EAGER * own)
        if error_of(eager(case.dtype, SEED + 1), exact) > tolerated:
            return {"reasons": {"output_error": "the module's own output differs from call to call"}}
        if found > tolerated:
            raise UserError(
                f"its output is off by {found:.2g} of the largest value from eager's in float64, where "
                f"{tolerance:g} is tolerated in {case.dtype} (eager itself: {own:.2g}): not timed"
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


class _Eager:
    """What the module of a call gives in eager, as it and its input are now, in any dtype."""

    def __init__(self, case: Case, call: MeasuredCall) -> None:
        self._case = case
        self._module = copy.deepcopy(call.module)
        self._given = call.given.replaced(lambda x: x.detach().clone())

    def __call__(self, dtype: str, seed: int = SEED) -> Tensor:
        kind: torch.dtype = getattr(torch, dtype)
        module = copy.deepcopy(self._module).to(kind)
        given = self._given.replaced(lambda x: x.to(kind, copy=True))  # the module may work in place
        torch.manual_seed(seed)
        with torch.no_grad():
            return self._case.interface.pick(module(*given.args, **given.kwargs))

    def exactly(self) -> tuple[Tensor, list[str]]:
        """Its output in float64; of a module that fails there in its case's dtype, which is said."""
        try:
            return self("float64"), []
        except Exception as error:
            dtype = self._case.dtype
            why = f"in float64 it fails ({in_one_line(error)})"
            return self(dtype), [f"its output is held against eager's in {dtype}: {why}"]
