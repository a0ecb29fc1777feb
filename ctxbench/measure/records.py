"""Records: what one case measured, with raw samples, and the file they are kept in.

A record stores what was observed and nothing that follows from it: medians, intervals and the noisy mark
are computed from ``rounds_ms`` by :mod:`ctxbench.measure.stats` whenever they are shown.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

from ctxbench.measure.case import Case

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Record:
    """One measured case. Counts are exact integers; memory is in bytes; times are in milliseconds.

    ``None`` means not measured, and ``reasons`` then holds, under the field's name, why.
    """

    case: Case
    status: str = "ok"
    """``ok``, ``oom``, ``crashed``, ``timeout``, ``error`` or ``interrupted``."""
    reason: str = ""
    """Why the status is not ``ok``, in one line."""

    params: int | None = None
    macs: int | None = None
    """Multiply-accumulates of the forward pass: convolutions and matrix products, every call."""
    flops: int | None = None
    """2·MACs + element-wise operations of the forward pass."""
    bwd_macs: int | None = None
    """Multiply-accumulates of the backward pass, with gradients of parameters and input."""
    bytes: int | None = None
    """Bytes read and written by the forward pass, each operation counted as if nothing stayed in cache."""
    published_macs: int | None = None
    """MACs of the published operation order, whatever implementation was measured."""
    unknown_ops: dict[str, int] = field(default_factory=dict)
    """Operations the count does not know, with how often each ran."""

    act_bytes: int | None = None
    """Activations kept for the backward pass, without parameters and without the input."""
    peak_pred_bytes: int | None = None
    """Predicted peak of live storages above parameters and input, in the case's mode."""
    alloc_bytes: int | None = None
    """Measured peak of the device's allocator above parameters and input."""
    reserved_bytes: int | None = None
    """Measured peak the caching allocator held from the device (CUDA only)."""
    process_bytes: int | None = None
    """Measured growth of the process: resident memory (CPU) or device memory (CUDA)."""

    rounds_ms: list[list[float]] = field(default_factory=list)
    """Raw latency samples, a list for each interleaved round."""
    warmup: int = 0
    """Calls made before the first sample."""
    cache: str = ""
    """State of the caches before each sample: ``warm`` or ``cold L2``."""
    throttled: bool = False
    """The device reported clock throttling while samples were taken."""

    counters: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Other counters' opinions: name to ``{"gmacs": float | None, "missed": {op: calls}, "reason": str}``."""
    paper: dict[str, Any] = field(default_factory=dict)
    """The paper's convention: ``gflops``, ``mib`` (last call of a shared leaf wins), ``every_call_gflops``,
    ``every_call_mib``, ``repeated`` ({leaf: calls}), ``config``; or ``reason`` alone."""
    reasons: dict[str, str] = field(default_factory=dict)
    """Field name to the reason why it is ``None``."""

    environment: dict[str, Any] = field(default_factory=dict)
    measured_at: str = ""
    """UTC, ISO 8601."""

    def to_json(self) -> dict[str, Any]:
        """The record as one JSON object, the schema version first."""
        values = asdict(self)
        values["case"] = self.case.to_json()
        return {"schema_version": SCHEMA_VERSION, "case_id": self.case.id, **values}
