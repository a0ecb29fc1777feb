"""The claims that Table 9's frame answers: what whole networks take."""

from __future__ import annotations

import pandas as pd

from ctxbench.paper.claims.answer import UNIFORM, Answer, span, value
from ctxbench.paper.comparison import FORMS, NOT_MEASURED, REPRODUCED
from ctxbench.table.column import significant

RECONET = "RecoNet"
NON_LOCAL = ("DANet", "PSANet", "CCNet", "EMANet")
"""The table's networks that the paper calls non-local."""
PYRAMIDS = ("PSPNet", "DeepLabV3+")
LOW_COST = ("CCNet", "EMANet")
PRINTED = "printed_gflops"
INCREMENT = {form: f"{form}_gmacs_512" for form in FORMS}
CONVENTION = f"{UNIFORM}, RecoNet of rank 64, with the classifier, at 1×3×512×512"
"""Of :data:`INCREMENT`."""


def _network(frame: pd.DataFrame, method: str, column: str) -> float:
    return value(frame, "method", method, column)


def whole_model(frame: pd.DataFrame) -> Answer:
    """Whether the non-local networks take more than 100 times what RecoNet takes, the backbone included."""

    def ratios(column: str) -> list[float]:
        base = _network(frame, "ResNet-101", column)
        reconet = base + _network(frame, RECONET, column)
        return [(base + _network(frame, method, column)) / reconet for method in NON_LOCAL]

    measured = {form: f"{span(ratios(column))}×" for form, column in INCREMENT.items()}
    own, backbone = (_network(frame, each, INCREMENT["published"]) for each in (RECONET, "ResNet-101"))
    return Answer(
        f"{span(ratios(PRINTED))}× (Table 9, with the backbone)",
        **measured,
        convention=CONVENTION,
        holds=min(ratios(INCREMENT["published"])) > 100,
        reason=f"RecoNet's head takes {significant(own / backbone, 2)} times the MACs of the backbone, which "
        "all of them have",
    )


def surpass(frame: pd.DataFrame) -> Answer:
    """Whether RecoNet adds less to the backbone than the pyramids add, and scores more."""
    shares = _shares(frame, INCREMENT["published"], PYRAMIDS)
    cheapest = max(PYRAMIDS, key=shares.__getitem__)
    cost = f"it adds {significant(shares[cheapest], 3)} times what {cheapest} adds"
    return _with_scores(frame, PYRAMIDS, cheaper=shares[cheapest] < 1, reason=cost)


def low_cost(frame: pd.DataFrame) -> Answer:
    """Whether RecoNet's cost is as small beside the low-cost networks' as printed, and its score the best."""
    shares, printed = (_shares(frame, column, LOW_COST) for column in (INCREMENT["published"], PRINTED))
    reasons = [
        f"it adds {significant(shares[method], 4)} times what {method} adds, where "
        f"{significant(printed[method], 3)} is printed"
        for method in LOW_COST
    ]
    # where the order is not the printed one, how the printed numbers were counted explains it
    if any((printed[method] < 1) != (shares[method] < 1) for method in LOW_COST):
        by_method = frame.set_index("method").loc[[RECONET, *LOW_COST]]
        decoded = by_method["flops_decode"][by_method["flops_verdict"] == REPRODUCED]
        reasons += [f"{method}'s printed number fits {words}" for method, words in decoded.items()]
    as_small = all(shares[method] <= printed[method] for method in LOW_COST)
    return _with_scores(frame, LOW_COST, cheaper=as_small, reason="; ".join(reasons))


def _shares(frame: pd.DataFrame, column: str, methods: tuple[str, ...]) -> dict[str, float]:
    """What RecoNet adds to the backbone, over what each method adds."""
    own = _network(frame, RECONET, column)
    return {method: own / _network(frame, method, column) for method in methods}


def _with_scores(frame: pd.DataFrame, methods: tuple[str, ...], *, cheaper: bool, reason: str) -> Answer:
    """The answer on costs, with that on mIoU where runs of all these networks stand in the frame."""

    def listed(column: str, digits: int) -> str:
        costs = {m: significant(_network(frame, m, column), digits) for m in (RECONET, *methods)}
        return ", ".join(f"{method} {cost}" for method, cost in costs.items()) + " G"

    best = _scores_best(frame, methods)
    return Answer(
        listed(PRINTED, 3),
        **{form: listed(column, 4) for form, column in INCREMENT.items()},
        convention=CONVENTION,
        holds=cheaper and best is not False,
        reason=reason
        if best is None
        else f"{reason}; in mIoU it is {'' if best else 'not '}the best of them",
        not_measured="mIoU" if best is None else "",
    )


def _scores_best(frame: pd.DataFrame, methods: tuple[str, ...]) -> bool | None:
    """Whether RecoNet's run scores more than each method's; None unless all have a run at the same scales."""
    for name in ("miou_ms_flip", "miou_ss"):
        if f"{name}_pct" in frame:
            rows = frame.set_index("method").loc[[RECONET, *methods]]
            scores = rows[f"{name}_pct"].where(rows[f"{name}_verdict"] != NOT_MEASURED)
            if scores.notna().all():
                return bool(scores[RECONET] > scores[list(methods)].max())
    return None
