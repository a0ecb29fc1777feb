"""ptflops, PyTorch backend: MACs of modules it hooks and functions it patches; executes the module."""

from __future__ import annotations

from io import StringIO
from typing import Any

from ctxbench.counters import Build, Shape
from ctxbench.counters.answer import answer, refusal
from ctxbench.counters.common import quietly, real, too_heavy
from ctxbench.errors import UserError
from ctxbench.subject.interface import Interface
from ctxbench.tracing import Trace


def count_macs(build: Build, shape: Shape, recorded: Trace, interface: Interface) -> dict[str, Any]:
    """MACs by ptflops. It does not say what it missed, and counts some element-wise work as MACs."""
    with quietly():
        from ptflops import get_model_complexity_info

        if reason := too_heavy(recorded):
            return refusal(reason)
        module, tensors = real(build, shape, interface)

        def inputs(resolution: Any) -> Any:
            if len(tensors) > 1:
                raise UserError("ptflops takes one input")
            return tensors[0]

        macs, _ = get_model_complexity_info(
            module, shape[1:], input_constructor=inputs, backend="pytorch", as_strings=False,
            print_per_layer_stat=False, verbose=False, ost=StringIO(),
        )  # fmt: skip
        return refusal("ptflops gave no number") if macs is None else answer(float(macs))
