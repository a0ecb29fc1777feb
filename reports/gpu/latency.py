"""Latency between two events with the L2 cache cold: of calls, and of the same calls as a CUDA graph."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from parity import off
from section import Section, is_cuda, table

from ctxbench.errors import in_one_line
from ctxbench.measure import stats
from ctxbench.measure.worker.call import MeasuredCall, build_call
from ctxbench.measure.worker.latency import Clock, CpuClock, CudaClock, sample, warm_up
from ctxbench.subject.bind import build_case
from ctxbench.subject.case import Case
from ctxbench.table.column import Column

ROUNDS, ROUND_S = 6, 0.1
SAME = 1e-4
"""How far a graph's output may be from the call's: in float32, where cuBLAS may sum in another order."""


@dataclass
class Timed:
    """A form, its call and the call as a graph, and their samples in ms."""

    case: Case
    eager: MeasuredCall
    graph: MeasuredCall | None
    why: str
    """Why there is no graph."""
    eager_ms: list[list[float]] = field(default_factory=list)
    graph_ms: list[list[float]] = field(default_factory=list)

    @property
    def quicker(self) -> float | None:
        """How many times quicker the graph is; None where too few rounds were taken."""
        enough = len(self.graph_ms) >= stats.MIN_ROUNDS
        return stats.ratio(self.graph_ms, self.eager_ms)[0] if enough else None


COLUMNS: tuple[Column[Timed], ...] = (
    Column("module", "module", lambda row: row.case.module, kind="text"),
    Column("form", "form", lambda row: row.case.implementation, kind="text"),
    Column("eager", "latency", lambda row: stats.summary(row.eager_ms).median_ms, "eager", "ms"),
    Column(
        "eager_ci", "latency", lambda row: stats.summary(row.eager_ms).half_width, "±", "%", digits=2,
        scale=100,
    ),
    Column(
        "graph", "latency", lambda row: stats.summary(row.graph_ms).median_ms, "CUDA graph", "ms",
        why=lambda row: row.why,
    ),
    Column("quicker", "eager / graph", lambda row: row.quicker, "", "×", digits=3),
)  # fmt: skip


def captured(call: MeasuredCall) -> MeasuredCall:
    """The call as a CUDA graph, warmed up on another stream as torch's documentation has it.

    Raises RuntimeError where the call cannot be captured, or where its replay gives another output.
    """
    device = call.x.device
    expected = call().clone()  # (N, C', H, W)
    side = torch.cuda.Stream(device)
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side):
        for _ in range(3):
            call()
    torch.cuda.current_stream(device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = call()  # (N, C', H, W), written anew by each replay

    def replay() -> torch.Tensor:
        graph.replay()
        return output

    if not off(replay(), expected.double()) <= SAME:
        raise RuntimeError("the graph gives another output")
    return MeasuredCall(replay, call.module, call.x)


def prepared(case: Case) -> Timed:
    """Build one form, and its graph where there can be one."""
    eager = build_call(case, build_case(case))
    if not is_cuda(case.device):
        return Timed(case, eager, None, f"no CUDA graph on {case.device}")
    try:
        return Timed(case, eager, captured(eager), "")
    except RuntimeError as error:
        torch.cuda.synchronize(case.device)
        return Timed(case, eager, None, in_one_line(error))


def section(device: str, cases: Sequence[Case], deadline: float) -> Section:
    """The part of the report: all cases in interleaved rounds, as many as there is time for."""
    rows = [prepared(case) for case in cases]
    clock: Clock = CudaClock(device) if is_cuda(device) else CpuClock()
    parties = [
        (call, ms)
        for row in rows
        for call, ms in ((row.eager, row.eager_ms), (row.graph, row.graph_ms))
        if call
    ]
    expected_ms = [warm_up(clock, call)[-1] for call, _ in parties]
    for _ in range(ROUNDS):
        if time.monotonic() > deadline:
            break
        for (call, ms), expected in zip(parties, expected_ms, strict=True):
            ms.append(sample(clock, call, ROUND_S, expected))
    wrong = [
        f"{row.case.module}, {row.case.implementation}: {row.why}"
        for row in rows
        if row.why and is_cuda(device)
    ]
    if any(len(ms) < ROUNDS for _, ms in parties):
        wrong.append(f"time was left for {len(parties[0][1])} of {ROUNDS} rounds alone")
    text = [f"Input {'×'.join(map(str, cases[0].shape))}, {cases[0].dtype}, forward, caches {clock.cache}."]
    return Section("Latency by events, and as a CUDA graph", [table("Latency", COLUMNS, rows)], text, wrong)
