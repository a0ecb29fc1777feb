"""Every column of every table, in one place, and the table of them all: ``summary.csv``."""

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from ctxbench.measure import stats
from ctxbench.measure.records import SCHEMA_VERSION, Record
from ctxbench.table.column import (
    Column,
    integer,
    latency,
    memory,
    milliseconds,
    of_case,
    of_counter,
    of_latency,
    of_record,
    of_table10,
    text,
)

DTYPES = {"text": "object", "int": "Int64", "float": "float64", "bool": "bool"}

NOT_COUNTED = "Not counted, for want of a formula"
TRACED_OTHERWISE = "Traced differently"
"""How notes on a count begin, in every table."""


def status(record: Record) -> str:
    """Return the record's status; ``noisy`` for a measured one whose median's interval is wide."""
    return "noisy" if record.status == "ok" and latency(record).is_noisy else record.status


def _intensity(record: Record) -> float | None:
    return record.flops / record.bytes if record.flops is not None and record.bytes else None


IDENTITY = (
    text("module", "module", "Registry name, or the place of the class.", of_case("module")),
    text(
        "implementation",
        "form",
        "`fast`: quickest exact form; `published`: the authors' operation order; `single`: the one form.",
        of_case("implementation"),
    ),
    text("config", "config", "Options the module was built with; empty for its defaults.", of_case("config")),
    integer("batch", "N", "Batch size.", of_case("batch")),
    integer("channels", "C", "Input channels.", of_case("channels")),
    integer("height", "H", "Input height.", of_case("height")),
    integer("width", "W", "Input width.", of_case("width")),
    text("dtype", "dtype", "Element type of parameters and input.", of_case("dtype")),
    text("layout", "layout", "Memory layout of the input.", of_case("layout")),
    text(
        "mode",
        "mode",
        "`infer`: forward without autograd in eval mode; `train`: forward and backward in training mode.",
        of_case("mode"),
    ),
    text("device", "device", "Where it ran.", of_case("device")),
)

COUNTS = (
    Column(
        "params", "params", "", "M", "Parameters.", of_record("params"), "int", scale=1e-6, field="params"
    ),
    Column(
        "gmacs",
        "MACs",
        "as run",
        "G",
        "Multiply–accumulates of the forward pass: convolutions and matrix products, every call.",
        of_record("macs", 1e9),
        digits=5,
        field="macs",
        ranked=True,
    ),
    Column(
        "gflops",
        "FLOPs",
        "",
        "G",
        "2·MACs + element-wise operations of the forward pass.",
        of_record("flops", 1e9),
        field="flops",
        ranked=True,
    ),
    Column(
        "published_gmacs",
        "MACs",
        "published",
        "G",
        "GMACs of the published operation order, whichever form was measured.",
        of_record("published_macs", 1e9),
        digits=5,
        field="published_macs",
    ),
    Column(
        "bwd_gmacs",
        "MACs",
        "backward",
        "G",
        "Multiply–accumulates of the backward pass, gradients of parameters and input.",
        of_record("bwd_macs", 1e9),
        field="bwd_macs",
    ),
)

MEMORY = (
    memory("act_mib", "saved", "Activations kept for backward, without parameters and input.", "act_bytes"),
    memory(
        "peak_pred_mib",
        "predicted",
        "Predicted peak of live tensors above parameters and input, in the row's mode.",
        "peak_pred_bytes",
        ranked=True,
    ),
    memory(
        "mem_alloc_mib",
        "measured",
        "Measured peak of the device's allocator above parameters and input.",
        "alloc_bytes",
        ranked=True,
    ),
    memory(
        "mem_reserved_mib",
        "reserved",
        "Measured peak the caching allocator held from the device (CUDA).",
        "reserved_bytes",
    ),
    memory(
        "mem_process_mib",
        "process",
        "Measured growth of the process: resident memory (CPU) or device memory (CUDA).",
        "process_bytes",
    ),
)

LATENCY = (
    milliseconds("lat_median_ms", "median", "Median latency of one call.", "median_ms", ranked=True),
    milliseconds("lat_ci_lo_ms", "CI low", "Lower end of the median's 95 % interval.", "lo_ms"),
    milliseconds("lat_ci_hi_ms", "CI high", "Upper end of the median's 95 % interval.", "hi_ms"),
    milliseconds("lat_iqr_ms", "IQR", "Interquartile range of the samples.", "iqr_ms"),
    milliseconds("lat_p90_ms", "p90", "Ninetieth percentile of the samples.", "p90_ms"),
    integer("n_samples", "samples", "Latency samples.", of_latency("n")),
    integer("n_rounds", "rounds", "Interleaved rounds the samples were taken in.", of_latency("rounds")),
)

LATENCY_CI = Column(
    "lat_ci_pct",
    "latency",
    "±",
    "%",
    "Half the width of the median's 95 % interval, in percent of the median.",
    of_latency("half_width"),
    digits=2,
    scale=100,
    field="rounds_ms",
)

INTENSITY = Column(
    "intensity_flop_per_byte",
    "intensity",
    "",
    "FLOP/B",
    "FLOPs per byte read and written, each operation counted as if nothing stayed in cache.",
    _intensity,
    field="bytes",
)

PAPER = (
    Column(
        "paper_gflops",
        "Table 10",
        "own rule",
        "G",
        "The paper's own convention (docs: how we count), run leaf by leaf over the published form.",
        lambda record: record.paper.get("gflops"),
        field="paper",
    ),
    Column(
        "paper_mib",
        "Table 10",
        "own rule",
        "MiB",
        "Memory by the paper's own convention: outputs of the leaves, the last call of each.",
        lambda record: record.paper.get("mib"),
        field="paper",
    ),
    Column(
        "printed_gflops",
        "Table 10",
        "printed",
        "G",
        "FLOPs as printed in Table 10.",
        of_table10("gflops"),
        "text",
    ),
    Column(
        "printed_mib",
        "Table 10",
        "printed",
        "MiB",
        "Memory as printed in Table 10.",
        of_table10("mib"),
        "text",
    ),
)

PROVENANCE = (
    text("torch", "torch", "Version of torch.", lambda record: record.environment.get("torch")),
    Column("compile", "compiled", "", "", "Whether `torch.compile` was used.", of_case("compile"), "bool"),
    text("case_id", "case", "Twelve hex digits, equal for equal cases.", lambda record: record.case.id),
    integer("schema_version", "schema", "Version of the record's format.", lambda _: SCHEMA_VERSION),
    text("status", "status", "`ok`, `noisy`, or what went wrong.", status),
    text("reason", "reason", "Why the status is what it is, and why cells are empty.", lambda r: reason(r)),
)


FIXED = {
    column.name: column
    for column in (*IDENTITY, *COUNTS, *MEMORY, *LATENCY, LATENCY_CI, INTENSITY, *PAPER, *PROVENANCE)
}
"""Every column but the other counters', by name."""


def counters(records: Iterable[Record]) -> list[Column]:
    """Return a column for each other counter that any record has, in order of appearance."""
    names = dict.fromkeys(name for record in records for name in record.counters)
    return [
        Column(
            f"{name}_gmacs",
            "MACs",
            name,
            "G",
            f"GMACs of the published form by {name}.",
            of_counter(name),
            digits=5,
            field=name,
        )
        for name in names
    ]


def columns(records: Sequence[Record]) -> list[Column]:
    """Return the columns of ``summary.csv`` for these records, in order."""
    return [*IDENTITY, *COUNTS, *MEMORY, *LATENCY, INTENSITY, *counters(records), *PAPER, *PROVENANCE]


def why_empty(record: Record, column: Column) -> str:
    """Return why a column has no value in a record, in a few words."""
    own = record.paper if column.field == "paper" else record.counters.get(column.field, {})
    if column.field == "rounds_ms" and record.rounds_ms:
        return f"an interval needs {stats.MIN_ROUNDS} rounds of samples"
    return own.get("reason") or record.reasons.get(column.field) or record.reason or "not measured"


def missed(calls: Mapping[str, int]) -> str:
    """Return operations with how often each ran, as text: ``aten::mul ×64, aten::softmax``."""
    return ", ".join(op if n == 1 else f"{op} ×{n}" for op, n in calls.items())


def reason(record: Record) -> str:
    """Return in one line why the status is not ok, why columns are empty, and what to know of the counts."""
    parts = [record.reason, record.note]
    empty: dict[str, list[str]] = {}
    for column in [*COUNTS, *MEMORY, LATENCY[0], *counters([record]), *PAPER[:2]]:
        if column.value(record) is None and (why := why_empty(record, column)) != record.reason:
            empty.setdefault(why, []).append(column.name)
    parts += [f"{', '.join(names)}: {why}" for why, names in empty.items()]
    parts += [
        f"{name} missed {missed(opinion['missed'])}"
        for name, opinion in record.counters.items()
        if opinion["missed"]
    ]
    if record.unknown_ops:
        parts.append(f"not counted: {missed(record.unknown_ops)}")
    return "; ".join(filter(None, parts))


def summary(records: Sequence[Record]) -> pd.DataFrame:
    """Return one row per record at full precision; an empty cell is one that was not measured."""
    return pd.DataFrame(
        {
            column.name: pd.Series([column.value(record) for record in records], dtype=DTYPES[column.kind])
            for column in columns(records)
        }
    )
