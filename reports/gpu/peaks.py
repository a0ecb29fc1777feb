"""Predicted and simulated memory against torch's allocator, and the allocator against NVIDIA's library."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from section import Section, emptied, is_cuda, table

from ctxbench.errors import UserError, in_one_line
from ctxbench.measure import nvml
from ctxbench.measure.worker import memory
from ctxbench.measure.worker.call import build_call
from ctxbench.subject import bind, registry
from ctxbench.subject.bind import build_case
from ctxbench.subject.case import Case
from ctxbench.table.column import MIB, Column
from ctxbench.tracing import trace_case, views
from ctxbench.tracing.cuda import peak_reserved, settings_here

TOLERANCE = 0.01
Shape = tuple[int, int, int, int]


class Peak(NamedTuple):
    """Bytes of one call of one case, as in a profile's record."""

    case: Case
    convolves: bool
    """Whether cuDNN takes a workspace that nobody predicts."""
    predicted: int
    measured: int
    simulated: int
    reserved: int | None
    stood: int
    """What the allocator held before with nothing in use: 0, or the comparison is not from nothing."""

    @property
    def off(self) -> float:
        """By how much the prediction is off, as a share of what was measured."""
        return self.predicted / self.measured - 1 if self.measured else 0.0


def _mib(name: str, header: str, part: str) -> Column[Peak]:
    return Column(name, header, lambda row: getattr(row, name), part, "MiB", kind="int", scale=1 / MIB)


COLUMNS: tuple[Column[Peak], ...] = (
    Column("module", "module", lambda row: row.case.module, kind="text"),
    Column("form", "form", lambda row: row.case.implementation, kind="text"),
    Column("mode", "mode", lambda row: row.case.mode, kind="text"),
    Column("dtype", "dtype", lambda row: row.case.dtype, kind="text"),
    Column("convolves", "convolutions", lambda row: "yes" if row.convolves else "no", kind="text"),
    _mib("predicted", "peak", "predicted"),
    _mib("measured", "peak", "measured"),
    Column("off", "peak", lambda row: row.off, "off by", "%", format=lambda share: f"{100 * share:+.2f}"),
    _mib("simulated", "reserved", "simulated"),
    _mib("reserved", "reserved", "measured"),
)


def peak(case: Case) -> Peak:
    """Predict, simulate and measure one case from an empty allocator."""
    recorded = trace_case(case)
    stood = emptied(case.device)
    measured, _ = memory.measure(build_call(case, build_case(case)), case.device)
    return Peak(
        case,
        any("conv" in op.name for op in recorded.ops),
        views.peak_bytes(recorded, views.CUDA_BLOCK if is_cuda(case.device) else 1),
        measured["alloc_bytes"],
        peak_reserved(recorded, settings_here(case.device)),
        measured.get("reserved_bytes"),
        stood,
    )


def spelled_out(device: str, shape: Shape, modules: Sequence[str]) -> list[Case]:
    """Every form in inference and training in float32; then the fast ones in bfloat16."""
    batch, channels, height, width = shape
    cases = [
        Case(name, channels, height, width, {}, form, batch, mode=mode, device=device)
        for name in modules
        for form in bind.implementations(name)
        for mode in ("infer", "train")
    ]
    return [*cases, *(replace(c, dtype="bfloat16") for c in cases if c.implementation != "published")]


def section(device: str, shape: Shape, deadline: float, modules: Sequence[str] = ()) -> Section:
    """The part of the report, of ``modules``, by default all built-in ones."""
    rows: list[Peak] = []
    text, wrong = [], []
    left = spelled_out(device, shape, modules or list(registry.SPECS))
    while left and time.monotonic() < deadline:
        case = left.pop(0)
        try:
            rows.append(peak(case))
        except (UserError, RuntimeError) as error:
            wrong.append(f"{case.module}, {case.implementation}, {case.mode}: {in_one_line(error)}")
    for kind, of_kind in (
        ("without convolutions", [row for row in rows if not row.convolves]),
        ("with convolutions, whose workspaces cuDNN chooses", [row for row in rows if row.convolves]),
    ):
        near = sum(abs(row.off) <= TOLERANCE for row in of_kind)
        same = sum(row.simulated == row.reserved for row in of_kind)
        reserved = f"in {same} reserved memory is as simulated to the byte"
        text.append(
            f"Of {len(of_kind)} cases {kind}, {near} are predicted within {100 * TOLERANCE:.0f} %"
            f"{f', and {reserved}' if is_cuda(device) else ''}."
        )
    if stood := [row for row in rows if row.stood]:
        wrong.append(f"the allocator held up to {max(row.stood for row in stood)} bytes before a case began")
    if left:
        wrong.append(f"no time was left for {len(left)} of the cases, from {left[0].module} on")
    return Section(
        "Peaks, predicted and simulated, against the allocator", [table("Peaks", COLUMNS, rows)], text, wrong
    )


class Held(NamedTuple):
    """Who says how much of the device is taken."""

    what: str
    bytes: int


HELD: tuple[Column[Held], ...] = (
    Column("what", "memory", lambda row: row.what, kind="text"),
    Column("bytes", "bytes", lambda row: row.bytes, unit="MiB", kind="int", scale=1 / MIB, digits=6),
)


def held(device: str) -> Section:
    """What torch's allocator holds with 100 MiB in use, beside what the driver and NVIDIA's library say."""
    rows: list[Held] = []
    wrong: list[str] = []
    if is_cuda(device):
        block = torch.empty(100 * MIB, dtype=torch.uint8, device=device)
        stats, (free, total) = torch.cuda.memory_stats(device), torch.cuda.mem_get_info(device)
        rows += [
            Held("torch: in use", stats["allocated_bytes.all.current"]),
            Held("torch: in use, as asked for", stats["requested_bytes.all.current"]),
            Held("torch: reserved", stats["reserved_bytes.all.current"]),
            Held("driver: taken by all processes", total - free),
        ]
        del block
    try:
        rows += [Held(f"NVML: {what}", size) for what, size in nvml.memory(device).items()]
    except nvml.NvmlError as error:
        wrong.append(str(error))
    return Section("Reserved memory, by NVML", [table("Memory of the device", HELD, rows)], wrong=wrong)
