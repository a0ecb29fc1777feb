"""The claims that Table 10's frame answers: what one block takes against another."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pandas as pd

from ctxbench.audit.quantity import prints_as
from ctxbench.paper.claims.answer import UNIFORM, Answer, span, value
from ctxbench.paper.comparison import BASELINE, SUBJECT
from ctxbench.table.column import significant

PEAK = "predicted peak of inference above weights and input"
EFFICIENT = {"emau": "EMANet", "rcca": "CCNet", "a2net": "A²Net"}
"""Blocks, by the networks they are of."""
NEGLIGIBLE_PCT = 1
MUCH = 5
"""How many times greater ≫ is taken to be."""


def _module(frame: pd.DataFrame, module: str, column: str) -> float:
    return value(frame, "module", module, column)


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


def times_less(
    limit: float, modules: Callable[[pd.DataFrame], list[str]]
) -> Callable[[pd.DataFrame], Answer]:
    """TGM+TRM against other modules of Table 10: whether each takes more than ``limit`` times its MACs."""

    def find(frame: pd.DataFrame) -> Answer:
        names = modules(frame)
        printed, published, fast = (
            _ratios(frame, names, column) for column in ("printed_gflops", "published_gmacs", "fast_gmacs")
        )
        return Answer(
            f"{span(printed)}×",
            f"{span(published)}× (published forms), {span(fast)}× (fast forms)",
            f"{UNIFORM}, {_at(frame)}",
            (holds := min(published) > limit),
            "" if holds else "the printed count of TGM+TRM sees one call of a leaf that runs for every rank",
        )

    return find


def about_900(frame: pd.DataFrame) -> Answer:
    """Whether Non-Local takes about 900 times the MACs of TGM+TRM: 850 to 950."""
    (ratio,) = _ratios(frame, [BASELINE], "published_gmacs")
    answer = times_less(850, lambda _: [BASELINE])(frame)
    return answer._replace(holds=answer.holds and ratio < 950)


def others(frame: pd.DataFrame) -> list[str]:
    """All modules but TGM+TRM."""
    return [module for module in frame["module"] if module != SUBJECT]


def not_baseline(frame: pd.DataFrame) -> list[str]:
    """All modules but TGM+TRM and Non-Local."""
    return [module for module in others(frame) if module != BASELINE]


def lowest(frame: pd.DataFrame) -> Answer:
    """Whether TGM+TRM takes the fewest MACs of all, in both forms."""
    columns = {"published": "published_gmacs", "fast": "fast_gmacs"}
    ratios = {form: min(_ratios(frame, others(frame), column)) for form, column in columns.items()}
    peaks = [_module(frame, m, "published_peak_pred_mib") for m in frame["module"]]
    own = _module(frame, SUBJECT, "published_peak_pred_mib")
    return Answer(
        f"the next takes {min(_ratios(frame, others(frame), 'printed_gflops')):.0f}×",
        ", ".join(
            f"the next takes {significant(ratio, 3)}× ({form} forms)" for form, ratio in ratios.items()
        ),
        f"{UNIFORM}, {_at(frame)}",
        min(ratios.values()) > 1,
        "in arithmetic" + ("; in memory its published form takes the most" if own == max(peaks) else ""),
    )


def memory(frame: pd.DataFrame) -> Answer:
    """Whether the printed memory is the predicted peak of the published form."""
    (row,) = frame.loc[frame["module"] == SUBJECT].to_dict("records")
    published, fast = (_module(frame, SUBJECT, f"{form}_peak_pred_mib") for form in ("published", "fast"))
    return Answer(
        f"{row['printed_mib']} MB",
        f"{significant(published, 4)} MiB (published form), {significant(fast, 4)} MiB (fast form)",
        f"{PEAK}, {_at(frame)}; the printed MB is 2²⁰ bytes",
        prints_as(published, str(row["printed_mib"])),
        f"{row['paper_mib']:.4g} MiB is the sum of the outputs of leaf modules, of each its last call",
    )


def negligible(frame: pd.DataFrame) -> Answer:
    """Whether TGM+TRM takes less than a hundredth of what each other module takes."""
    names = others(frame)
    printed, published, fast = (
        [100 / ratio for ratio in _ratios(frame, names, column)]
        for column in ("printed_gflops", "published_gmacs", "fast_gmacs")
    )
    return Answer(
        f"{span(printed)} % of theirs",
        f"{span(published)} % (published forms), {span(fast)} % (fast forms)",
        f"{UNIFORM}, {_at(frame)}",
        max(published) < NEGLIGIBLE_PCT,
        f"negligible is taken to be under {NEGLIGIBLE_PCT} %",
    )


def efficient(frame: pd.DataFrame) -> Answer:
    """The blocks of EMANet, CCNet and A²Net against Non-Local, in arithmetic and in memory."""

    def against_baseline(arithmetic: str, memory: str, unit: str) -> tuple[str, list[str]]:
        """The ratios in words, and a sentence for each block that takes no less."""
        columns = {unit: arithmetic, "memory": memory}
        limits = {what: _module(frame, BASELINE, column) for what, column in columns.items()}
        times = {
            what: {name: _module(frame, m, column) / limits[what] for m, name in EFFICIENT.items()}
            for what, column in columns.items()
        }
        more = [
            f"{name} takes {significant(ratio, 3)} times the {what} of Non-Local"
            for what, ratios in times.items()
            for name, ratio in ratios.items()
            if ratio >= 1
        ]
        return ", ".join(f"{span(ratios.values())}× the {what}" for what, ratios in times.items()), more

    printed, _ = against_baseline("printed_gflops", "printed_mib", "FLOPs")
    forms = {
        form: against_baseline(f"{form}_gmacs", f"{form}_peak_pred_mib", "MACs")
        for form in ("published", "fast")
    }
    more = [f"in the {form} forms {', '.join(blocks)}" for form, (_, blocks) in forms.items() if blocks]
    return Answer(
        f"{printed} of Non-Local",
        "; ".join(f"{ratios} of Non-Local ({form} forms)" for form, (ratios, _) in forms.items()),
        f"{UNIFORM}; {PEAK}; {_shape(frame)}, as Table 10 configures them",
        not forms["published"][1],
        "; ".join(
            ("their blocks of Table 10, judged by the published forms, which the claim is about", *more)
        ),
    )


def much_greater(frame: pd.DataFrame) -> Answer:
    """Whether the sizes of the input are ordered as the paper's comparison of costs has it."""
    c, h, w = (_module(frame, SUBJECT, name) for name in ("channels", "height", "width"))
    volume, squares = c * h * w, (c * c, h * h, w * w)
    return Answer(
        "CHW ≫ C² > H² = W²",
        f"{volume:,.0f}; {squares[0]:,.0f}; {squares[1]:,.0f}; {squares[2]:,.0f}",
        f"elements, at C×H×W = {c:.0f}×{h:.0f}×{w:.0f}",
        volume > MUCH * squares[0] and squares[0] > squares[1] == squares[2],
        f"CHW is {significant(volume / squares[0], 2)} times C²; ≫ is taken to be more than {MUCH} times",
    )
