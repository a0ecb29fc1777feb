"""Whether all forms of a module agree to rounding in each precision: the output, and the input's gradient."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from math import isfinite
from typing import NamedTuple

import torch
from section import Section, table
from torch import Tensor

from ctxbench.errors import in_one_line
from ctxbench.subject import bind, registry
from ctxbench.subject.bind import build_case
from ctxbench.subject.case import Case
from ctxbench.table.column import Column

PRECISIONS = {
    "float32": (torch.float32, 2.0**-23),
    "tf32": (torch.float32, 2.0**-10),
    "bfloat16": (torch.bfloat16, 2.0**-7),
    "float16": (torch.float16, 2.0**-10),
}
"""The dtype of weights and input, and the spacing of the numbers that products round to, at 1."""
MOST, TIMES, SPACINGS = 64, 4, 8
"""The published form may be off by so many spacings; a fast one by so many times as much as that, and so many
spacings more."""


GATE = "ctxbench_modules.reconet_gate:FusedTGMTRM"


class Parity(NamedTuple):
    """How far a form is off in one precision, relative to the published form in float64, in the 2-norm."""

    module: str
    form: str
    precision: str
    output: float
    gradient: float
    allowed: tuple[float, float]
    """For output and gradient."""

    @property
    def agrees(self) -> bool:
        """Whether it is off by rounding alone."""
        found = (self.output, self.gradient)
        # not finite in the published form either, where float16 overflows: nothing to hold the form to
        return all(
            not isfinite(limit) or off <= limit for off, limit in zip(found, self.allowed, strict=True)
        )


COLUMNS: tuple[Column[Parity], ...] = (
    Column("module", "module", lambda row: row.module, kind="text"),
    Column("form", "form", lambda row: row.form, kind="text"),
    Column("precision", "precision", lambda row: row.precision, kind="text"),
    Column("output", "off by", lambda row: row.output, "output", "relative", format="{:.1e}".format),
    Column(
        "gradient", "off by", lambda row: row.gradient, "input's gradient", "relative", format="{:.1e}".format
    ),
    Column("agrees", "agrees", lambda row: "yes" if row.agrees else "NO", kind="text"),
)


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Let float32 products and convolutions round their factors to TF32, or not."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


def computed(case: Case, weights: Mapping[str, Tensor], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """A form's output (N, C', H, W) and its input's gradient (N, C, H, W), in eval mode."""
    module = build_case(case)
    module.load_state_dict(weights)  # all forms draw other ones, and have the same names for them
    module.eval().to(case.device, dtype)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(case.shape, generator=generator).to(case.device, dtype).requires_grad_()
    with torch.no_grad():
        output = module(x)  # without gradient some forms work in place, or run other kernels
    y = module(x)
    upstream = torch.randn(y.shape, generator=generator).to(case.device, dtype)
    (gradient,) = torch.autograd.grad(y, x, upstream)
    return output, gradient


def off(found: Tensor, exact: Tensor) -> float:
    """‖found − exact‖ / ‖exact‖; nan where something is not finite."""
    return float((found.double() - exact).norm() / exact.norm())


def modules() -> list[str]:
    """The built-in modules, and TGM+TRM with its kernel where Triton is installed."""
    return [*registry.SPECS, *([GATE] if find_spec("triton") else [])]


def of_module(module: str, shape: tuple[int, int, int, int], device: str) -> list[Parity]:
    """All forms of one module in all precisions; the published form first, which the others are held to."""
    batch, channels, height, width = shape
    forms = bind.implementations(module)[::-1]
    cases = [Case(module, channels, height, width, {}, form, batch, device=device) for form in forms]
    weights = build_case(cases[0]).state_dict()
    exact = computed(cases[0], weights, torch.float64)
    rows: list[Parity] = []
    for precision, (dtype, spacing) in PRECISIONS.items():
        allowed = (MOST * spacing, MOST * spacing)
        with tf32(precision == "tf32"):
            for case in cases:
                output, gradient = map(off, computed(case, weights, dtype), exact)
                rows.append(Parity(module, case.implementation, precision, output, gradient, allowed))
                if case is cases[0]:
                    allowed = (TIMES * output + SPACINGS * spacing, TIMES * gradient + SPACINGS * spacing)
    return rows


def section(device: str, shape: tuple[int, int, int, int], deadline: float) -> Section:
    """The part of the report; modules that ``deadline`` (of time.monotonic) leaves no time for are named."""
    rows: list[Parity] = []
    wrong: list[str] = []
    left = modules()
    while left and time.monotonic() < deadline:
        module = left.pop(0)
        try:
            rows += of_module(module, shape, device)
        except RuntimeError as error:
            wrong.append(f"{module} failed: {in_one_line(error)}")
    wrong += [
        f"{r.module}, {r.form}, {r.precision}: off by {r.output:.1e} and {r.gradient:.1e}"
        for r in rows
        if not r.agrees
    ]
    overflow = sorted({f"{r.module} in {r.precision}" for r in rows if not isfinite(r.output + r.gradient)})
    text = [
        f"Input {'×'.join(map(str, shape))}, eval mode, relative to the published form in float64 on the "
        f"same device. A published or single form agrees where it is off by {MOST} spacings of the precision "
        f"at most; a fast one by {TIMES} times what the published form is off by, and {SPACINGS} spacings."
    ]
    if overflow:
        text.append(f"Not finite: {', '.join(overflow)}.")
    if left:
        wrong.append(f"no time was left for {', '.join(left)}")
    return Section("Parity of all forms", [table("Parity", COLUMNS, rows)], text, wrong)
