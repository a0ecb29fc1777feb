"""A trace's memory events, replayed through the simulated allocator."""

from __future__ import annotations

from collections.abc import Sequence

from ctxbench.tracing.cuda.allocator import Allocator, Block
from ctxbench.tracing.cuda.settings import Settings
from ctxbench.tracing.ops import INSIDE, Phase, Trace

CUBLAS = (
    "mm", "bmm", "mv", "dot", "vdot", "addmm", "baddbmm", "addbmm", "addmv", "_addmm_activation", "linear",
    "linear_backward", "_trilinear", "_native_multi_head_attention", "_transformer_encoder_layer_fwd",
)  # fmt: skip
"""Names of the operations that cuBLAS computes; convolutions are cuDNN's, fused attention has its kernels."""


def peak_reserved(trace: Trace, settings: Settings) -> int:
    """Bytes the allocator would hold at most during the pass, on a device that has no other work.

    As a profile measures it: parameters, buffers, input and upstream gradient are there and count, the pass
    has run before, and the cache was emptied between. The first matrix product of the forward pass takes
    cuBLAS's workspace for good, and so does that of the backward pass, which runs in a thread of its own.
    Not simulated: cuDNN's workspaces and whatever else kernels take inside, which only they know (what those
    of the CPU take is left out). All runs on one stream.
    """
    allocator = Allocator(settings)
    for size in trace.given:
        allocator.malloc(size)
    _replay(trace, allocator, _first_products(trace), settings.cublas_workspace_bytes)
    allocator.empty_cache()
    allocator.reset_peak()
    _replay(trace, allocator)
    return allocator.peak_reserved


def _first_products(trace: Trace) -> list[int]:
    """The numbers of the operations at which a thread first calls cuBLAS: forward, and backward."""
    first: dict[Phase, int] = {}
    for number, op in enumerate(trace.ops):
        if op.name.removeprefix("aten.").split(".")[0].rstrip("_") in CUBLAS:
            first.setdefault(op.phase, number)
    return sorted(first.values())


def _replay(trace: Trace, allocator: Allocator, products: Sequence[int] = (), workspace: int = 0) -> None:
    """Feed the trace's events to the allocator, then free what still lives: output and gradients.

    A storage that changes its size is allocated anew before the old one is freed. The operations
    ``products`` each take a workspace that is never freed, after what they return.
    """
    live: dict[int, tuple[int, Block | None]] = {}  # storage to its bytes and block
    taken = 0
    for event in (event for event in trace.events if event.storage != INSIDE):
        old_size, old = live.pop(event.storage, (0, None))
        if size := old_size + event.bytes:
            live[event.storage] = size, allocator.malloc(size)
        if old:
            allocator.free(old)
        while taken < len(products) and products[taken] <= event.op:
            allocator.malloc(workspace)
            taken += 1
    for _ in products[taken:]:
        allocator.malloc(workspace)
    for _, block in live.values():
        if block:
            allocator.free(block)
