"""How the sheets' frames answer each of the paper's claims about cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import isnan
from typing import NamedTuple

import pandas as pd

from ctxbench.audit.quantity import prints_as
from ctxbench.paper.comparison import BASELINE, REPRODUCED, SUBJECT
from ctxbench.table.column import significant

UNIFORM = "MACs of every convolution and matrix product, every call"
PEAK = "predicted peak of inference above weights and input"
NON_LOCAL = ("DANet", "PSANet", "CCNet", "EMANet")
"""Table 9's networks that the paper calls non-local."""
EFFICIENT = {"emau": "EMANet", "rcca": "CCNet", "a2net": "A²Net"}
"""Blocks, by the networks they are of."""
NEGLIGIBLE_PCT = 1
MUCH = 5
"""How many times greater ≫ is taken to be."""
SMALL_PCT = 10
"""How far above the cheapest a relatively small cost is taken to be."""
INCREMENT = "published_gmacs_512"
SMALL = f"relatively small is taken to be less than {SMALL_PCT} % above the cheapest of them"
WHERE = "published forms, RecoNet of rank 64, with the classifier, at 1×3×512×512"
"""Of :data:`INCREMENT`."""


class Found(NamedTuple):
    """What a frame says of a claim."""

    printed: str
    measured: str
    convention: str
    holds: bool
    reason: str


def _value(frame: pd.DataFrame, key: str, row: str, column: str) -> float:
    """A number of a frame. Raises LookupError where it is not there or was not measured."""
    values = frame.loc[frame[key] == row, column]
    if not len(values) or values.iloc[0] is None or isnan(value := float(values.iloc[0])):
        raise LookupError(f"{row}: {column}")
    return value


def _module(frame: pd.DataFrame, module: str, column: str) -> float:
    return _value(frame, "module", module, column)


def _ratios(frame: pd.DataFrame, modules: Iterable[str], column: str) -> list[float]:
    return [_module(frame, module, column) / _module(frame, SUBJECT, column) for module in modules]


def _shape(frame: pd.DataFrame) -> str:
    """Of Table 10's inputs: ``at 1×512×64×64``."""
    (row,) = frame.loc[frame["module"] == SUBJECT].to_dict("records")
    return f"at 1×{row['channels']}×{row['height']}×{row['width']}"


def _at(frame: pd.DataFrame) -> str:
    """That, and the rank of TGM+TRM."""
    (config,) = frame.loc[frame["module"] == SUBJECT, "config"]
    return f"{_shape(frame)}, {config.replace('=', ' ')}"


def _span(values: Iterable[float], digits: int = 3) -> str:
    ends = list(values)
    low, high = significant(min(ends), digits), significant(max(ends), digits)
    return low if low == high else f"{low} to {high}"


def _times_less(
    limit: float, modules: Callable[[pd.DataFrame], list[str]]
) -> Callable[[pd.DataFrame], Found]:
    """TGM+TRM against other modules of Table 10: whether each takes more than ``limit`` times its MACs."""

    def find(frame: pd.DataFrame) -> Found:
        names = modules(frame)
        printed, published, fast = (
            _ratios(frame, names, column) for column in ("printed_gflops", "published_gmacs", "fast_gmacs")
        )
        return Found(
            f"{_span(printed)}×",
            f"{_span(published)}× (published forms), {_span(fast)}× (fast forms)",
            f"{UNIFORM}, {_at(frame)}",
            (holds := min(published) > limit),
            "" if holds else "the printed count of TGM+TRM sees one call of a leaf that runs for every rank",
        )

    return find


def _about_900(frame: pd.DataFrame) -> Found:
    (ratio,) = _ratios(frame, [BASELINE], "published_gmacs")
    found = _times_less(850, lambda _: [BASELINE])(frame)
    return found._replace(holds=found.holds and ratio < 950)


def _others(frame: pd.DataFrame) -> list[str]:
    return [module for module in frame["module"] if module != SUBJECT]


def _not_baseline(frame: pd.DataFrame) -> list[str]:
    return [module for module in _others(frame) if module != BASELINE]


def _lowest(frame: pd.DataFrame) -> Found:
    columns = {"published": "published_gmacs", "fast": "fast_gmacs"}
    ratios = {form: min(_ratios(frame, _others(frame), column)) for form, column in columns.items()}
    peaks = [_module(frame, m, "published_peak_pred_mib") for m in frame["module"]]
    own = _module(frame, SUBJECT, "published_peak_pred_mib")
    return Found(
        f"the next takes {min(_ratios(frame, _others(frame), 'printed_gflops')):.0f}×",
        ", ".join(
            f"the next takes {significant(ratio, 3)}× ({form} forms)" for form, ratio in ratios.items()
        ),
        f"{UNIFORM}, {_at(frame)}",
        min(ratios.values()) > 1,
        "in arithmetic" + ("; in memory its published form takes the most" if own == max(peaks) else ""),
    )


def _memory(frame: pd.DataFrame) -> Found:
    (row,) = frame.loc[frame["module"] == SUBJECT].to_dict("records")
    published, fast = (_module(frame, SUBJECT, f"{form}_peak_pred_mib") for form in ("published", "fast"))
    return Found(
        f"{row['printed_mib']} MB",
        f"{significant(published, 4)} MiB (published form), {significant(fast, 4)} MiB (fast form)",
        f"{PEAK}, {_at(frame)}; the printed MB is 2²⁰ bytes",
        prints_as(published, str(row["printed_mib"])),
        f"{row['paper_mib']:.4g} MiB is the sum of the outputs of leaf modules, of each its last call",
    )


def _negligible(frame: pd.DataFrame) -> Found:
    names = _others(frame)
    printed, published, fast = (
        [100 / ratio for ratio in _ratios(frame, names, column)]
        for column in ("printed_gflops", "published_gmacs", "fast_gmacs")
    )
    return Found(
        f"{_span(printed)} % of theirs",
        f"{_span(published)} % (published forms), {_span(fast)} % (fast forms)",
        f"{UNIFORM}, {_at(frame)}",
        max(published) < NEGLIGIBLE_PCT,
        f"negligible is taken to be under {NEGLIGIBLE_PCT} %",
    )


def _efficient(frame: pd.DataFrame) -> Found:
    """The blocks of EMANet, CCNet and A²Net against Non-Local, in arithmetic and in memory."""

    def told(arithmetic: str, memory: str, unit: str) -> tuple[str, list[str]]:
        columns = {unit: arithmetic, "memory": memory}
        limits = {what: _module(frame, BASELINE, column) for what, column in columns.items()}
        times = {
            what: {name: _module(frame, m, column) / limits[what] for m, name in EFFICIENT.items()}
            for what, column in columns.items()
        }
        more = [
            f"{name} takes {significant(ratio, 3)} times the {what} of Non-Local"
            for what, of in times.items()
            for name, ratio in of.items()
            if ratio >= 1
        ]
        said = ", ".join(f"{_span(of.values())}× the {what}" for what, of in times.items())
        return said, more

    printed, _ = told("printed_gflops", "printed_mib", "FLOPs")
    forms = {form: told(f"{form}_gmacs", f"{form}_peak_pred_mib", "MACs") for form in ("published", "fast")}
    more = [f"in the {form} forms {', '.join(of)}" for form, (_, of) in forms.items() if of]
    return Found(
        f"{printed} of Non-Local",
        "; ".join(f"{said} of Non-Local ({form} forms)" for form, (said, _) in forms.items()),
        f"{UNIFORM}; {PEAK}; {_shape(frame)}, as Table 10 configures them",
        not forms["published"][1],
        "; ".join(
            ("their blocks of Table 10, judged by the published forms, which the claim is about", *more)
        ),
    )


def _much_greater(frame: pd.DataFrame) -> Found:
    c, h, w = (_module(frame, SUBJECT, name) for name in ("channels", "height", "width"))
    volume, squares = c * h * w, (c * c, h * h, w * w)
    return Found(
        "CHW ≫ C² > H² = W²",
        f"{volume:,.0f}; {squares[0]:,.0f}; {squares[1]:,.0f}; {squares[2]:,.0f}",
        f"elements, at C×H×W = {c:.0f}×{h:.0f}×{w:.0f}",
        volume > MUCH * squares[0] and squares[0] > squares[1] == squares[2],
        f"CHW is {significant(volume / squares[0], 2)} times C²; ≫ is taken to be more than {MUCH} times",
    )


def _grows(subject: str) -> Callable[[pd.DataFrame], Found]:
    """Rows of ``growth`` about a subject: whether each is as claimed."""

    def find(frame: pd.DataFrame) -> Found:
        rows = frame.loc[frame["subject"] == subject].to_dict("records")
        if not rows:
            raise LookupError(subject)
        told = [
            f"{row['letter']}^{row['exponent']:.2f} (last two {row['last_exponent']:.2f}, "
            f"claimed {row['claimed_exponent']:g})"
            for row in rows
        ]
        why = [f"in {row['letter']}: {row['reason']}" for row in rows if row["reason"]]
        holds = all(row["verdict"] == REPRODUCED for row in rows)
        over = "; ".join(f"{row['letter']}: {row['range']}" for row in rows)
        convention = f"exponents fitted to {UNIFORM}, {rows[0]['form']} form; {over}"
        return Found(rows[0]["claimed"], ", ".join(told), convention, holds, "; ".join(why))

    return find


def _stage(subject: str) -> Callable[[pd.DataFrame], Found]:
    def find(frame: pd.DataFrame) -> Found:
        low, high = (_value(frame, "subject", subject, f"ratio_{end}") for end in ("lo", "hi"))
        (row,) = frame.loc[frame["subject"] == subject].to_dict("records")
        times = f"{_span((low, high))} times the expression, at {row['axis']}"
        convention = f"{UNIFORM}, {row['form']} form; {row['range']}"
        return Found(
            row["claimed"], times, convention, row["verdict"] == REPRODUCED, "for each of the r ranks"
        )

    return find


def _rank(frame: pd.DataFrame) -> Found:
    rank = _value(frame, "subject", "rank of X", "rank")
    (row,) = frame.loc[frame["subject"] == "rank of X"].to_dict("records")
    return Found(
        row["claimed"],
        f"at least {rank:.0f}",
        f"rank of an unfolding, {row['range']}",
        row["verdict"] == REPRODUCED,
        row["reason"],
    )


def _network(frame: pd.DataFrame, method: str, column: str = INCREMENT) -> float:
    return _value(frame, "method", method, column)


def _whole_model(frame: pd.DataFrame) -> Found:
    def ratios(column: str) -> list[float]:
        base = _network(frame, "ResNet-101", column)
        ours = base + _network(frame, "RecoNet", column)
        return [(base + _network(frame, method, column)) / ours for method in NON_LOCAL]

    measured = ratios(INCREMENT)
    head = significant(_network(frame, "RecoNet") / _network(frame, "ResNet-101"), 2)
    return Found(
        f"{_span(ratios('printed_gflops'))}× (Table 9, with the backbone)",
        f"{_span(measured)}×",
        f"{UNIFORM}, {WHERE}",
        min(measured) > 100,
        f"RecoNet's head takes {head} times the MACs of the backbone, which all of them have",
    )


def _below(limit: float, criterion: str, *methods: str) -> Callable[[pd.DataFrame], Found]:
    """Whether RecoNet adds less to the backbone than ``limit`` times the cheapest of some networks adds."""

    def told(frame: pd.DataFrame, column: str, digits: int) -> str:
        values = {m: significant(_network(frame, m, column), digits) for m in ("RecoNet", *methods)}
        return ", ".join(f"{method} {value}" for method, value in values.items()) + " G"

    def find(frame: pd.DataFrame) -> Found:
        def share(method: str, column: str) -> float:
            return _network(frame, "RecoNet", column) / _network(frame, method, column)

        cheapest = max(methods, key=lambda method: share(method, INCREMENT))
        off = 100 * (share(cheapest, INCREMENT) - 1)
        side = "above" if off > 0 else "below"
        said = ["of FLOPs alone, mIoU not measured", f"{criterion}; it is {abs(off):.2g} % {side} {cheapest}"]
        known = frame.set_index("method")
        if any((share(m, "printed_gflops") < 1) != (share(m, INCREMENT) < 1) for m in methods):
            decoded = known["flops_decode"].loc[["RecoNet", *methods]]
            fitting = known["flops_verdict"] == REPRODUCED
            said += [f"{method}'s printed number fits {words}" for method, words in decoded[fitting].items()]
        return Found(
            told(frame, "printed_gflops", 3),
            told(frame, INCREMENT, 4),
            f"{UNIFORM}, {WHERE}",
            share(cheapest, INCREMENT) < limit,
            "; ".join(said),
        )

    return find


class Answer(NamedTuple):
    """The sheet that a claim is held against, and how."""

    sheet: str
    find: Callable[[pd.DataFrame], Found]
    """Raises LookupError where the frame lacks a number it needs."""


ANSWERS = {
    "100x_less": Answer("table10", _times_less(100, _others)),
    "whole_model": Answer("table9", _whole_model),
    "contributions": Answer("table9", _whole_model),
    "efficient": Answer("table10", _efficient),
    "rank": Answer("growth", _rank),
    "surpass": Answer("table9", _below(1, "less than each of them is asked for", "PSPNet", "DeepLabV3+")),
    "low_cost": Answer("table9", _below(1 + SMALL_PCT / 100, SMALL, "CCNet", "EMANet")),
    "non_local_order": Answer("growth", _grows("Non-Local")),
    "tgm_order": Answer("growth", _stage("TGM, one rank")),
    "trm_order": Answer("growth", _stage("TRM, one rank")),
    "much_greater": Answer("table10", _much_greater),
    "total_order": Answer("growth", _grows("TGM+TRM")),
    "negligible": Answer("table10", _negligible),
    "900x_less": Answer("table10", _about_900),
    "100x_less_than_others": Answer("table10", _times_less(100, _not_baseline)),
    "lowest": Answer("table10", _lowest),
    "memory": Answer("table10", _memory),
}
"""By claim, as :func:`ctxbench.paper.printed.claims` names them."""
