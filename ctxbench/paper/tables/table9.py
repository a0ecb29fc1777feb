"""Table 9 regenerated: what each network adds to its backbone at both input sizes, and own runs' mIoU."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from ctxbench.audit.candidates import Candidate
from ctxbench.paper.comparison import NOT_MEASURED, REPRODUCED
from ctxbench.paper.increments import (
    GIGA,
    TABLE9_SIDES,
    Decode,
    Increment,
    backbone_alone,
    decode,
    increments,
)
from ctxbench.paper.own_runs import OwnRun, Placed, for_table
from ctxbench.paper.printed import plain_name, rows
from ctxbench.paper.sheet import Sheet
from ctxbench.paper.tables.table1_to_6 import commands, miou_columns
from ctxbench.report.figures.plots import GREY
from ctxbench.table.column import Column, frame, lay_out, raw, significant
from ctxbench.table.style import PALETTE, STYLE, canvas

TITLE = "Table 9 of the paper, PASCAL VOC 2012 val, ResNet-101: what each network adds to its backbone"
SCORES = {"miou_ss": "mIoU, SS", "miou_ms_flip": "mIoU, MS/Flip"}
SMALL = TABLE9_SIDES[0]


@dataclass(frozen=True)
class Network:
    """A row: what is printed, the counts of one image by the input's side, and what the digits decode to.

    ``scores`` are an own run's by the names of :data:`SCORES`: NaN, with the reason, without a run, and none
    at all for the backbone alone.
    """

    printed: Mapping[str, str]
    counts: Mapping[int, Increment]
    decoded: Decode
    scores: Mapping[str, Placed]

    @property
    def method(self) -> str:
        """As the paper writes it."""
        return self.printed["method"]

    @property
    def is_increment(self) -> bool:
        """Whether it is what a network adds to the backbone, not the backbone alone."""
        return self.printed["is_increment_over_backbone"] == "1"

    @property
    def is_decoded(self) -> bool:
        """Whether some way to count gives the printed number."""
        return self.decoded.verdict == REPRODUCED

    @property
    def way(self) -> Candidate:
        """The way to count that gives the printed number, or comes nearest."""
        return self.decoded.best.candidates[0]


def _decoding(row: Network) -> str:
    """Which way to count gives the printed number, and how many would by chance."""
    best, chance = row.decoded.best, ""
    if best.by_chance is not None:
        deviations = f"{best.deviations} deviation{'s' * (best.deviations != 1)}"
        chance = f"; {deviations}, by chance {significant(best.by_chance, 2)} fits"
    return f"{row.method} {row.printed['flops_g']} G: {row.decoded}{chance}."


def _counted(side: int, rank: int) -> list[Column[Network]]:
    """The counts at one input size; of those of the fast forms, the higher ``rank`` gives way first."""

    def giga(count: Callable[[Increment], int]) -> Callable[[Network], float]:
        return lambda row: count(row.counts[side]) / GIGA

    published, fast = giga(lambda counts: counts.macs), giga(lambda counts: counts.fast_macs)
    rule, classifier = giga(lambda counts: counts.rule_flops), giga(lambda counts: counts.classifier_macs)
    return [
        Column(f"published_gmacs_{side}", "MACs, published", published, f"{side}²", "G", digits=5),
        # nothing printed is held against the fast forms, so they alone give way where the room is short
        Column(f"fast_gmacs_{side}", "MACs, fast", fast, f"{side}²", "G", digits=5, rank=rank),
        Column(f"rule_gflops_{side}", "Table 10's rule", rule, f"{side}²", "G", digits=5),
        raw(f"classifier_gmacs_{side}", classifier),
    ]


def _run_in_words(placed: Placed) -> str:
    """How a run's score stands to the printed one, or why there is none."""
    why = ": ".join(filter(None, (placed.verdict, placed.reason)))
    return f"mIoU {why}; evaluated on {placed.on}." if placed.on else f"mIoU {why}."


def _scored(name: str, words: str) -> list[Column[Network]]:
    """A printed score, and an own run's beside it."""

    def of_run(take: Callable[[Placed], Any], otherwise: Any = None) -> Callable[[Network], Any]:
        return lambda row: take(row.scores[name]) if name in row.scores else otherwise

    remark = of_run(_run_in_words, "")
    return [
        Column(
            f"{name}_printed_pct", words, lambda row: row.printed[name] or None, "printed", "%", kind="text"
        ),
        Column(
            f"{name}_pct", words, of_run(lambda placed: placed.value), "run", "%",
            format=lambda value: f"{value:.2f}", note=remark, why=remark,
        ),
        raw(f"{name}_verdict", of_run(lambda placed: placed.verdict), "text"),
        raw(f"{name}_reason", of_run(lambda placed: placed.reason), "text"),
        raw(f"{name}_evaluated_on", of_run(lambda placed: placed.on or None), "text"),
    ]  # fmt: skip


COLUMNS: tuple[Column[Network], ...] = (
    Column("method", "method", lambda row: row.method, kind="text"),
    raw("is_increment", lambda row: row.is_increment, "bool"),
    Column("printed_gflops", "FLOPs", lambda row: row.printed["flops_g"], "printed", "G", kind="text"),
    *(column for rank, side in enumerate(TABLE9_SIDES, start=1) for column in _counted(side, rank)),
    Column("flops_verdict", "FLOPs", lambda row: row.decoded.verdict, "verdict", kind="text", note=_decoding),
    raw("flops_decode", lambda row: row.way.words, "text"),
    raw("flops_decode_gflops", lambda row: row.way.value),
    raw("ways_fitting", lambda row: row.decoded.ways_fitting, "int"),
    raw("ways_tried", lambda row: len(row.decoded.tried), "int"),
    raw("deviations", lambda row: row.decoded.best.deviations if row.is_decoded else None, "int"),
    raw("fits_by_chance", lambda row: row.decoded.best.by_chance),
    raw("flops_reason", lambda row: "" if row.is_decoded else str(row.decoded), "text"),
    *(column for name, words in SCORES.items() for column in _scored(name, words)),
)


def table9(
    runs: Sequence[OwnRun] = (),
    *,
    source: str,
    skip_other_datasets: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Sheet:
    """Count every network of Table 9 and place ``runs`` beside its mIoU; nothing is run.

    ``source`` is the origin of the counts; ``progress`` is told each method before it is counted. Runs of
    another data set are left out with ``skip_other_datasets``, else refused: UserError names the first.
    """
    chosen, no_runs = for_table(runs, 9, skip_other_datasets=skip_other_datasets)
    no_score = no_runs or "none of the runs given is of this network at these scales"
    placed = miou_columns(chosen)
    networks = []
    for row in rows(9):
        if progress is not None:
            progress(row["method"])
        networks.append(_network(row, placed, no_score))
    grid = lay_out(
        TITLE,
        _neighbours(COLUMNS),
        [("backbone alone", networks[:1]), ("added to the backbone", networks[1:])],
    )
    grid.notes += [
        "MACs: multiply-accumulates of every convolution and matrix product, every call; published: the "
        "authors' operation order. Table 10's rule: leaf modules alone, last call wins. With the classifier, "
        "without the auxiliary head, which is for training alone.",
        "Deviations: of a way to count, from plain MACs. By chance: the fits that a random number, within a "
        "factor of two of the printed one, has on average among ways of no more deviations.",
    ]
    if not chosen:
        grid.notes.append(f"mIoU: not measured, {no_score}. To have one: `{commands(9)}`.")
    grid.findings += _in_words(networks)
    return Sheet("table9", TITLE, grid, frame(COLUMNS, networks), source, _figure(networks[1:]))


def _network(row: Mapping[str, str], placed: Mapping[str, Mapping[str, Placed]], no_score: str) -> Network:
    if row["is_increment_over_backbone"] != "1":
        counts = backbone_alone()
        return Network(row, counts, decode(row["flops_g"], counts), {})
    name = plain_name(row["method"])
    counts = increments(name)
    missing = {score: Placed(nan, row[score], NOT_MEASURED, no_score) for score in SCORES}
    return Network(row, counts, decode(row["flops_g"], counts), {**missing, **placed.get(name, {})})


def _neighbours(columns: Sequence[Column[Network]]) -> list[Column[Network]]:
    """The columns with those of one heading side by side, as people look at them.

    The order in CSV, one input size after the other, is what files on record have.
    """
    headers = list(dict.fromkeys(column.header for column in columns))
    return sorted(columns, key=lambda column: headers.index(column.header))


def _in_words(networks: Sequence[Network]) -> list[str]:
    """What the counts mean for the table's order, in sentences computed from them."""
    heads = {row.method: row for row in networks if row.is_increment}
    decoded = [row for row in networks if row.is_decoded]
    by_side = {
        side: ", ".join(row.method for row in decoded if f"at {side}×{side}" in row.way.words)
        for side in TABLE9_SIDES
    }
    fitting = "; ".join(f"{methods} at {side}×{side}" for side, methods in by_side.items() if methods)
    rest = ", ".join(row.method for row in networks if not row.is_decoded)

    def gmacs(row: Network) -> float:
        return row.counts[SMALL].macs / GIGA

    reconet = heads.pop("RecoNet")
    cheapest = min(heads.values(), key=gmacs)
    order = "less" if gmacs(reconet) < gmacs(cheapest) else "more"
    return [
        f"{len(decoded)} of {len(networks)} numbers fit some way to count, but not at one input size: "
        f"{fitting}." + (f" Not reproducible: {rest}." if rest else ""),
        f"At one size, {SMALL}×{SMALL}, and by one rule, MACs of the published forms, RecoNet adds "
        f"{gmacs(reconet):.2f} G, {order} than the cheapest of the others, {cheapest.method}, with "
        f"{gmacs(cheapest):.2f} G; printed are {reconet.printed['flops_g']} and "
        f"{cheapest.printed['flops_g']} G.",
    ]


def _figure(networks: Sequence[Network]) -> Figure:
    """Draw each increment as bars at both sizes, with what is printed as a diamond."""
    height = 0.8 / len(TABLE9_SIDES)
    with rc_context(STYLE):
        figure = canvas(9, 4.6)
        axes = figure.subplots()
        for i, (side, colour) in enumerate(
            zip(TABLE9_SIDES, (PALETTE["a2net"], PALETTE["nonlocal"]), strict=True)
        ):
            y = [n + (i - (len(TABLE9_SIDES) - 1) / 2) * height for n in range(len(networks))]
            values = [row.counts[side].macs / GIGA for row in networks]
            axes.barh(y, values, height, color=colour, label=f"MACs at {side}×{side}")
        axes.plot(
            [float(row.printed["flops_g"]) for row in networks],
            range(len(networks)),
            "D",
            color="white",
            markeredgecolor="black",
            label="printed",
        )
        axes.set_yticks(range(len(networks)), [row.method for row in networks])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("added to the backbone [G]", color=GREY)
        figure.legend(loc="outside lower center", ncols=3)
        figure.suptitle("Table 9: published forms, one rule, beside what is printed", fontweight="bold")
    return figure
