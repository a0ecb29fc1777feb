"""The claims that Table 10's frame answers: what one block takes against another."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any

import pandas as pd

from ctxbench.audit.quantity import prints_as
from ctxbench.paper.claims.answer import UNIFORM, Answer, span, unjudged, value
from ctxbench.paper.comparison import BASELINE, FORMS, SUBJECT
from ctxbench.table.column import significant

PEAK = "predicted peak of inference above weights and input"
EFFICIENT = {"emau": "EMANet", "rcca": "CCNet", "a2net": "A²Net"}
"""Blocks, by the networks they are of."""
MACS = {form: f"{form}_gmacs" for form in FORMS}
MEMORY = {form: f"{form}_peak_pred_mib" for form in FORMS}
LATENCY = {form: f"{form}_lat_median_ms" for form in FORMS}
PRINTED, RULE = "printed_gflops", "paper_every_call_gflops"
GIGA = 10**9


def _module(frame: pd.DataFrame, module: str, column: str) -> float:
    return value(frame, "module", module, column)


def _ratios(frame: pd.DataFrame, modules: Iterable[str], column: str) -> list[float]:
    return [_module(frame, module, column) / _module(frame, SUBJECT, column) for module in modules]


def _own(frame: pd.DataFrame) -> Mapping[Hashable, Any]:
    """The row of TGM+TRM. Raises LookupError where the frame has none."""
    return frame.loc[frame["module"] == SUBJECT].to_dict("records")[0]


def _shape(frame: pd.DataFrame) -> str:
    """Of Table 10's inputs: ``at 1×512×64×64``."""
    row = _own(frame)
    return f"at 1×{row['channels']}×{row['height']}×{row['width']}"


def _at(frame: pd.DataFrame) -> str:
    """That, and the rank of TGM+TRM."""
    return f"{_shape(frame)}, {_own(frame)['config'].replace('=', ' ')}"


def others(frame: pd.DataFrame) -> list[str]:
    """All modules but TGM+TRM."""
    return [module for module in frame["module"] if module != SUBJECT]


def not_baseline(frame: pd.DataFrame) -> list[str]:
    """All modules but TGM+TRM and Non-Local."""
    return [module for module in others(frame) if module != BASELINE]


def times_less(
    limit: float, modules: Callable[[pd.DataFrame], list[str]]
) -> Callable[[pd.DataFrame], Answer]:
    """Whether each of other modules of Table 10 takes more than ``limit`` times the MACs of TGM+TRM."""
    return lambda frame: _against(frame, modules(frame), lambda ratios: min(ratios) > limit)


def _against(frame: pd.DataFrame, names: list[str], holds: Callable[[list[float]], bool]) -> Answer:
    """TGM+TRM against other modules; ``holds`` takes what each is times its MACs."""
    return Answer(
        f"{span(_ratios(frame, names, PRINTED))}×",
        **{form: f"{span(_ratios(frame, names, column))}×" for form, column in MACS.items()},
        convention=f"{UNIFORM}, {_at(frame)}",
        holds=holds(_ratios(frame, names, MACS["published"])),
        reason=_like_for_like(frame, names),
    )


def _like_for_like(frame: pd.DataFrame, names: list[str]) -> str:
    """What Table 10's own rule gives where it counts every call of a leaf, of TGM+TRM and of all."""
    own = _module(frame, SUBJECT, RULE)
    printed, every_call = (
        f"{span([_module(frame, name, column) / own for name in names])}×" for column in (PRINTED, RULE)
    )
    theirs = f", and {every_call} with every call of theirs counted too" if every_call != printed else ""
    return (
        "the printed count of TGM+TRM sees one call of a leaf that runs for every rank; by the paper's own "
        f"rule with every call of TGM+TRM counted, the printed numbers of the others are {printed}{theirs}"
    )


def about_900(frame: pd.DataFrame) -> Answer:
    """Whether Non-Local takes about 900 times the MACs of TGM+TRM: 900 at the one digit that is said."""
    return _against(frame, [BASELINE], lambda ratios: significant(ratios[0], 1) == "900")


def much_smaller(frame: pd.DataFrame) -> Answer:
    """Whether TGM+TRM takes less than Non-Local, beside the ratio of the two expressions: CH²W² to rCHW."""
    area = _module(frame, SUBJECT, "height") * _module(frame, SUBJECT, "width")
    rank = int(_own(frame)["config"].rpartition("=")[2])
    compared = _against(frame, [BASELINE], lambda ratios: ratios[0] > 1)
    letters = f"HW/r = {significant(area / rank, 3)}× in the letters"
    return compared._replace(
        printed=f"{compared.printed} (Table 10)", reason=letters, not_measured=unjudged("much")
    )


def huge(frame: pd.DataFrame) -> Answer:
    """Whether one dense map of the features X to the attention A takes more MACs than TGM+TRM."""
    c, h, w = (_module(frame, SUBJECT, name) for name in ("channels", "height", "width"))
    direct = (c * h * w) ** 2
    times = {form: direct / (_module(frame, SUBJECT, column) * GIGA) for form, column in MACS.items()}
    return Answer(
        "no number",
        **{form: f"{ratio:,.0f} times TGM+TRM" for form, ratio in times.items()},
        convention=f"MACs, (CHW)² of a dense linear map of X to A by formula, {_at(frame)}",
        holds=times["published"] > 1,
        reason=f"(CHW)² is {significant(direct / GIGA, 4)} G",
        not_measured=f"the paper describes no such model; {unjudged('huge')}",
    )


def much_greater(frame: pd.DataFrame) -> Answer:
    """Whether the sizes of the input are ordered as the paper's comparison of costs has it."""
    c, h, w = (_module(frame, SUBJECT, name) for name in ("channels", "height", "width"))
    volume, squares = c * h * w, (c * c, h * h, w * w)
    return Answer(
        "CHW ≫ C² > H² = W²",
        f"{volume:,.0f}; {squares[0]:,.0f}; {squares[1]:,.0f}; {squares[2]:,.0f}",
        "",
        f"elements, at C×H×W = {c:.0f}×{h:.0f}×{w:.0f}",
        volume > squares[0] > squares[1] == squares[2],
        f"CHW is {significant(volume / squares[0], 2)} times C²",
        unjudged("≫"),
    )


def negligible(frame: pd.DataFrame) -> Answer:
    """Whether TGM+TRM takes as small a part of what each other module takes as the table prints."""
    names = others(frame)

    def shares(column: str) -> list[float]:
        return [100 / ratio for ratio in _ratios(frame, names, column)]

    pairs = zip(shares(MACS["published"]), shares(PRINTED), strict=True)
    return Answer(
        f"{span(shares(PRINTED))} % of theirs",
        **{form: f"{span(shares(column))} % of theirs" for form, column in MACS.items()},
        convention=f"{UNIFORM}, {_at(frame)}",
        holds=all(measured <= printed for measured, printed in pairs),
        reason="held to the shares that the table prints",
    )


def lowest(frame: pd.DataFrame) -> Answer:
    """Whether TGM+TRM takes the fewest MACs and the least memory, the two that the table compares."""
    next_one = {form: min(_ratios(frame, others(frame), column)) for form, column in MACS.items()}

    def places(form: str) -> str:
        named = {"MACs": MACS[form], "memory": MEMORY[form], "latency": LATENCY[form]}
        if frame[named["latency"]].isna().any():
            del named["latency"]
        listed = [f"{_place(frame, column)} in {what}" for what, column in named.items()]
        return f"{', '.join(listed)}; the next takes {significant(next_one[form], 3)}× the MACs"

    ranked = [_rank(frame, columns["published"]) for columns in (MACS, MEMORY)]
    return Answer(
        f"the next takes {min(_ratios(frame, others(frame), PRINTED)):.0f}× the FLOPs",
        **{form: places(form) for form in FORMS},
        convention=f"{UNIFORM}; {PEAK}; {_at(frame)}",
        holds=ranked == [1, 1],
        reason="the sentence before it compares FLOPs and GPU occupation, so that these are the overhead; "
        "latency, the median of a call on the machine of table10, decides nothing",
    )


def _rank(frame: pd.DataFrame, column: str) -> int:
    """How many modules take no more than TGM+TRM, itself among them."""
    own = _module(frame, SUBJECT, column)
    return sum(_module(frame, module, column) <= own for module in frame["module"])


def _place(frame: pd.DataFrame, column: str) -> str:
    """That in words: ``lowest of 8``, ``6th-lowest of 8``, ``highest of 8``."""
    rank, modules = _rank(frame, column), len(frame)
    ordinal = {1: "", 2: "2nd-", 3: "3rd-"}.get(rank, f"{rank}th-")
    return f"{'highest' if rank == modules else f'{ordinal}lowest'} of {modules}"


def memory(frame: pd.DataFrame) -> Answer:
    """Whether the printed memory is the predicted peak of the published form."""
    row = _own(frame)
    peaks = {form: _module(frame, SUBJECT, column) for form, column in MEMORY.items()}
    return Answer(
        f"{row['printed_mib']} MB",
        **{form: f"{significant(peak, 4)} MiB" for form, peak in peaks.items()},
        convention=f"{PEAK}, {_at(frame)}; the printed MB is 2²⁰ bytes",
        holds=prints_as(peaks["published"], str(row["printed_mib"])),
        reason=f"{row['paper_mib']:.4g} MiB is the sum of the outputs of leaf modules, of each its last "
        f"call, and {row['paper_every_call_mib']:.4g} MiB of every call",
    )


def efficient(frame: pd.DataFrame) -> Answer:
    """The blocks of EMANet, CCNet and A²Net against Non-Local, in arithmetic and in memory."""

    def against_baseline(columns: dict[str, str]) -> tuple[str, list[str]]:
        """The ratios in words, and a sentence for each block that takes no less."""
        words, more = [], []
        for what, column in columns.items():
            limit = _module(frame, BASELINE, column)
            ratios = {name: _module(frame, m, column) / limit for m, name in EFFICIENT.items()}
            words.append(f"{span(ratios.values())}× the {what}")
            more += [
                f"{name} takes {significant(ratio, 3)} times the {what} of Non-Local"
                for name, ratio in ratios.items()
                if ratio >= 1
            ]
        return f"{', '.join(words)} of Non-Local", more

    printed, _ = against_baseline({"FLOPs": PRINTED, "memory": "printed_mib"})
    forms = {form: against_baseline({"MACs": MACS[form], "memory": MEMORY[form]}) for form in FORMS}
    more = [f"in the {form} forms {', '.join(blocks)}" for form, (_, blocks) in forms.items() if blocks]
    return Answer(
        printed,
        **{form: words for form, (words, _) in forms.items()},
        convention=f"{UNIFORM}; {PEAK}; {_shape(frame)}, as Table 10 configures them",
        holds=not forms["published"][1],
        reason="; ".join(("their blocks of Table 10", *more)),
    )
