"""Every column of a record's tables, in one place, and the table of them all: ``summary.csv``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from ctxbench import shelf
from ctxbench.measure.records import SCHEMA_VERSION, Record, why_empty
from ctxbench.report.choosing.batches import FITS, fits
from ctxbench.report.further_columns import MIOU, MIOU_CI, counters, missed, studied
from ctxbench.report.several import of_runs
from ctxbench.table.column import BYTES, COUNTS, MIB, Column, Extra, Kind, frame

if TYPE_CHECKING:
    import pandas as pd

NOT_COUNTED = "Not counted, for want of a formula"
TRACED_OTHERWISE = "Traced differently"
ODD = "Odd when it ran"
PREDICTED = "Predicted peak"
GRAPH_BREAKS = "Graph breaks"
DECOMPOSED = "Written as several operations by the exporter"
ELSEWHERE = "Ran otherwise than asked for"
"""How notes on a count begin, in every table."""
LOWER_BOUND = "≥ "
"""What stands before a count in which an operation is missing."""
SIMULATED = (
    "What PyTorch's caching allocator would hold of a CUDA device: parameters, input and cuBLAS's workspace "
    "included, cuDNN's, which is not known, left out."
)


def status(record: Record) -> str:
    """The record's status; ``noisy`` for a measured one whose median's interval is wide."""
    return "noisy" if record.status == "ok" and record.latency.is_noisy else record.status


def at_least(record: Record) -> str:
    """The mark of the record's counts: empty where the cost of every operation is known."""
    return LOWER_BOUND if record.unknown_ops else ""


def of_record(name: str, unit: float = 1) -> Callable[[Record], Any]:
    """Take a field of the record, in multiples of ``unit``."""

    def value(record: Record) -> Any:
        raw = getattr(record, name)
        return raw if raw is None or unit == 1 else raw / unit

    return value


def _text(name: str, about: str, value: Callable[[Record], Any], header: str = "") -> Column[Record]:
    return Column(name, header or name, value, about=about, kind="text")


def _of_case(name: str, about: str, header: str = "", kind: Kind = "text", rank: int = 0) -> Column[Record]:
    """A condition of the case."""
    value = attrgetter(f"case.{name}")
    return Column(name, header or name, value, about=about, kind=kind, rank=rank)


def _count(
    name: str, header: str, field: str, about: str, *,
    part: str = "", digits: int = 5, rank: int = 0, best: bool = False,
) -> Column[Record]:  # fmt: skip
    """A count of the record in 10⁹."""
    return Column(
        name, header, of_record(field, 1e9), part, "G", about,
        digits=digits, units=COUNTS, mark=at_least, why=partial(why_empty, field), rank=rank,
        less_is_better=best,
    )  # fmt: skip


def _memory(
    name: str, part: str, field: str, about: str, *, rank: int = 0, best: bool = False
) -> Column[Record]:
    """A field of bytes in MiB."""
    return Column(
        name, "memory", of_record(field, MIB), part, "MiB", about, units=BYTES,
        why=partial(why_empty, field), rank=rank, less_is_better=best,
    )  # fmt: skip


def _latency(name: str, part: str, statistic: str, about: str) -> Column[Record]:
    """A statistic of the record's samples, in milliseconds."""
    why = partial(why_empty, "rounds_ms")
    return Column(name, "latency", _of_latency(statistic), part, "ms", about, why=why)


def _of_latency(statistic: str) -> Callable[[Record], Any]:
    return lambda record: getattr(record.latency, statistic) if record.latency.n else None


IMPLEMENTATION = _of_case(
    "implementation",
    "`fast`: quickest exact form; `published`: the authors' operation order; `single`: the one form.",
    "form", rank=10,
)  # fmt: skip
IDENTITY: tuple[Column[Record], ...] = (
    _of_case("module", "Registry name, or the place of the class."),
    IMPLEMENTATION,
    _of_case("config", "Options the module was built with; empty for its defaults."),
    Column(
        "batch", "N", lambda r: None if r.case.fit else r.case.batch, kind="int",
        about="Batch size; empty where none fits the memory that it was to be found for.",
    ),
    _of_case("channels", "Input channels.", "C", kind="int"),
    _of_case("height", "Input height.", "H", kind="int"),
    _of_case("width", "Input width.", "W", kind="int"),
    _of_case("dtype", "Element type of parameters and input."),
    _of_case("layout", "Memory layout of the input."),
    _of_case(
        "mode",
        "`infer`: forward without autograd in eval mode; `train`: forward and backward in training mode.",
    ),
    _of_case("device", "Where it ran."),
    Column(
        "threads", "threads",
        lambda r: r.threads.get(r.case.runtime, r.threads.get("torch", r.environment.get("threads"))),
        about="CPU threads that torch took, or the runtime, as it said itself.", kind="int",
    ),
    _of_case("runtime", "What executed it: `eager`, `compile` (torch.compile), `onnxruntime`, `openvino`."),
)  # fmt: skip

PARAMS: Column[Record] = Column(
    "params", "params", of_record("params"), "", "M", "Elements of all parameters, without buffers.",
    kind="int", scale=1e-6, units=COUNTS, why=partial(why_empty, "params"), rank=3, less_is_better=True,
)  # fmt: skip
MACS = _count(
    "gmacs", "MACs", "macs",
    "Multiply–accumulates of convolutions and matrix products in the forward pass, every call.",
    part="as run", best=True,
)  # fmt: skip
FLOPS = _count(
    "gflops", "FLOPs", "flops", "2·MACs + element-wise operations of the forward pass.",
    digits=4, rank=9, best=True,
)  # fmt: skip
PUBLISHED_MACS = _count(
    "published_gmacs", "MACs", "published_macs",
    "MACs of the published operation order, whichever form was measured.",
    part="published", rank=5, best=True,
)  # fmt: skip
BACKWARD_MACS = _count(
    "bwd_gmacs", "MACs", "bwd_macs",
    "Multiply–accumulates of the backward pass, gradients of parameters and input.",
    part="backward", digits=4, best=True,
)  # fmt: skip
COST = (PARAMS, MACS, FLOPS, PUBLISHED_MACS, BACKWARD_MACS)

MEMORY = (
    _memory(
        "act_mib", "saved", "act_bytes", "Activations kept for backward, without parameters and input.",
        rank=15, best=True,
    ),
    _memory(
        "peak_pred_mib", "predicted", "peak_pred_bytes",
        "Predicted peak of live tensors above parameters and input, in the row's mode.", best=True,
    ),
    _memory("mem_reserved_sim_mib", "reserved (simulated)", "reserved_sim_bytes", SIMULATED, rank=16),
    _memory(
        "mem_alloc_mib", "measured", "alloc_bytes",
        "Measured peak of the device's allocator above parameters and input.", best=True,
    ),
    _memory(
        "mem_reserved_mib", "reserved", "reserved_bytes",
        "Measured peak the caching allocator held from the device (CUDA).", rank=16,
    ),
    _memory(
        "mem_process_mib", "process", "process_bytes",
        "Measured growth of the process: resident memory (CPU) or device memory (CUDA).", rank=14,
    ),
)  # fmt: skip

MEDIAN = replace(
    _latency("lat_median_ms", "median", "median_ms", "Median latency of one call."),
    less_is_better=True, mark=lambda record: "~" if status(record) == "noisy" else "",
)  # fmt: skip
LATENCY = (
    MEDIAN,
    _latency("lat_ci_lo_ms", "CI low", "lo_ms", "Lower end of the median's 95 % interval."),
    _latency("lat_ci_hi_ms", "CI high", "hi_ms", "Upper end of the median's 95 % interval."),
    _latency("lat_iqr_ms", "IQR", "iqr_ms", "Interquartile range of the samples."),
    _latency("lat_p90_ms", "p90", "p90_ms", "Ninetieth percentile of the samples."),
    Column("n_samples", "samples", _of_latency("n"), about="Latency samples.", kind="int"),
    Column("n_rounds", "rounds", _of_latency("rounds"), about="Interleaved rounds of samples.", kind="int"),
)  # fmt: skip
LATENCY_CI: Column[Record] = Column(
    "lat_ci_pct", "latency", _of_latency("half_width"), "±", "%",
    "Half the width of the median's 95 % interval, in percent of the median.",
    digits=2, scale=100, why=partial(why_empty, "rounds_ms"), rank=4,
)  # fmt: skip
THROUGHPUT: Column[Record] = Column(
    "throughput_img_per_s", "throughput",
    lambda record: 1000 * record.case.batch / ms if (ms := record.latency.median_ms) else None, "", "img/s",
    "Inputs of the batch a second: the batch size over the median latency of one call.",
    why=partial(why_empty, "rounds_ms"), mark=MEDIAN.mark,
)  # fmt: skip
ENERGY: Column[Record] = Column(
    "energy_mj", "energy",
    lambda record: record.spent_mj / record.spent_calls if record.spent_mj is not None else None, "", "mJ",
    "Millijoules of one call: what the CPU's packages (RAPL) or the whole GPU (NVML) took over the rounds of "
    "samples, idle power and other processes included, over their calls.",
    digits=3, why=partial(why_empty, "spent_mj"), rank=13,
)  # fmt: skip
INTENSITY: Column[Record] = Column(
    "intensity_flop_per_byte", "intensity",
    lambda r: r.flops / r.bytes if r.flops is not None and r.bytes else None, "", "FLOP/B",
    "FLOPs per byte read and written, each operation counted as if nothing stayed in cache.",
    why=partial(why_empty, "bytes"),
)  # fmt: skip

COMPILED: tuple[Column[Record], ...] = (
    Column(
        "compile_s", "compiling", of_record("compile_s"), "", "s",
        "Seconds in which the runtime made the module ready, exporting included, from empty caches.", rank=13,
    ),
    Column(
        "graph_breaks", "graph breaks",
        lambda r: sum(r.graph_breaks.values()) if r.compile_s and r.case.runtime == "compile" else None,
        about="Places at which torch.compile left the module to Python.", kind="int",
        why=lambda record: record.reason or "torch.compile's alone", rank=13,
    ),
    Column(
        "output_error", "error", of_record("output_error"), "of output", digits=2, rank=2,
        about="Largest difference of the output from eager's in float64, as a share of the largest value.",
        why=lambda r: why_empty("output_error", r) if r.case.runtime != "eager" else "held against itself",
    ),
)  # fmt: skip

PROVENANCE: tuple[Column[Record], ...] = (
    _text("torch", "Version of torch.", lambda record: record.environment.get("torch")),
    _text("case_id", "Twelve hex digits, equal for equal cases.", lambda record: record.case.id, "case"),
    Column(
        "schema_version", "schema", lambda _: SCHEMA_VERSION, about="Version of the record's format.",
        kind="int",
    ),
    _text("status", "`ok`, `noisy`, or what went wrong.", status),
    _text("reason", "Why the status is what it is, and why cells are empty.", lambda record: reason(record)),
)  # fmt: skip

FIXED: dict[str, Column[Record]] = {
    column.name: column
    for column in (
        *IDENTITY, *COST, *MEMORY, *LATENCY, LATENCY_CI, THROUGHPUT, ENERGY, INTENSITY, *COMPILED, *FITS,
        MIOU, MIOU_CI, *PROVENANCE,
    )
}  # fmt: skip
"""Every column that does not depend on the records, by name."""


def compiled(records: Iterable[Record]) -> tuple[Column[Record], ...]:
    """Of cases that a runtime has made ready, where there are any; graph breaks are torch.compile's."""
    there = {record.case.runtime for record in records} - {"eager"}
    return tuple(c for c in COMPILED if there and (c.name != "graph_breaks" or "compile" in there))


def metered(records: Iterable[Record]) -> tuple[Column[Record], ...]:
    """Of cases whose energy was counted, or whose records say why it was not."""
    known = any(record.spent_mj is not None or "spent_mj" in record.reasons for record in records)
    return (ENERGY,) if known else ()


def extra(records: Sequence[Record]) -> Extra[Record]:
    """What a study adds, and the papers on the shelf: the offers ``record_extra`` make it of the records."""
    extras = [Extra(studied(records)), *(offer(records) for offer in shelf.offers("record_extra"))]
    return Extra(
        [column for each in extras for column in each.columns],
        [note for each in extras for note in each.notes],
        [finding for each in extras for finding in each.findings],
    )


def columns(records: Sequence[Record]) -> list[Column[Record]]:
    """The columns of ``summary.csv`` for these records, in order."""
    own = [*IDENTITY, *COST, *MEMORY, *LATENCY, INTENSITY, *metered(records), *compiled(records)]
    return [*own, *fits(records), *counters(records), *extra(records).columns, *of_runs(records), *PROVENANCE]


def reason(record: Record) -> str:
    """In one line why the status is not ok, why columns are empty, and what to know of the counts."""
    parts = [record.reason, *record.warnings, record.note]
    # Columns that are empty for the same reason are named together, and not at all where that reason is the
    # record's own, which stands first.
    empty: dict[str, list[str]] = {}
    for column in [*COST, *MEMORY, MEDIAN, *metered([record]), *counters([record])]:
        if column.value(record) is None and column.why and (why := column.why(record)) != record.reason:
            empty.setdefault(why, []).append(column.name)
    parts += [f"{', '.join(names)}: {why}" for why, names in empty.items()]
    parts += [
        f"{name} missed {missed(opinion['missed'])}"
        for name, opinion in record.counters.items()
        if opinion.get("missed")
    ]
    kinds = ("graph breaks", "graph_breaks"), ("decomposed", "decomposed"), ("ran otherwise", "elsewhere")
    for what, name in (*kinds, ("not counted", "unknown_ops")):
        if calls := getattr(record, name):
            parts.append(f"{what}: {missed(calls)}")
    if record.peak_pred_note:
        parts.append(f"predicted peak {record.peak_pred_note}")
    return "; ".join(filter(None, parts))


def summary(records: Sequence[Record]) -> pd.DataFrame:
    """One row per record at full precision; an empty cell is one that was not measured."""
    return frame(columns(records), records)
