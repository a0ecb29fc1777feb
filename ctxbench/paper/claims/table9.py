"""The claims that Table 9's frame answers: what whole networks take."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from ctxbench.paper.claims.answer import UNIFORM, Answer, span, value
from ctxbench.paper.comparison import REPRODUCED
from ctxbench.table.column import significant

NON_LOCAL = ("DANet", "PSANet", "CCNet", "EMANet")
"""The table's networks that the paper calls non-local."""
SMALL_PCT = 10
"""How far above the cheapest a relatively small cost is taken to be."""
SMALL = f"relatively small is taken to be less than {SMALL_PCT} % above the cheapest of them"
INCREMENT = "published_gmacs_512"
WHERE = "published forms, RecoNet of rank 64, with the classifier, at 1×3×512×512"
"""Of :data:`INCREMENT`."""


def _network(frame: pd.DataFrame, method: str, column: str = INCREMENT) -> float:
    return value(frame, "method", method, column)


def whole_model(frame: pd.DataFrame) -> Answer:
    """Whether the non-local networks take more than 100 times what RecoNet takes, the backbone included."""

    def ratios(column: str) -> list[float]:
        base = _network(frame, "ResNet-101", column)
        reconet = base + _network(frame, "RecoNet", column)
        return [(base + _network(frame, method, column)) / reconet for method in NON_LOCAL]

    measured = ratios(INCREMENT)
    head = significant(_network(frame, "RecoNet") / _network(frame, "ResNet-101"), 2)
    return Answer(
        f"{span(ratios('printed_gflops'))}× (Table 9, with the backbone)",
        f"{span(measured)}×",
        f"{UNIFORM}, {WHERE}",
        min(measured) > 100,
        f"RecoNet's head takes {head} times the MACs of the backbone, which all of them have",
    )


def below(limit: float, criterion: str, *methods: str) -> Callable[[pd.DataFrame], Answer]:
    """Whether RecoNet adds less to the backbone than ``limit`` times the cheapest of some networks adds."""

    def listed(frame: pd.DataFrame, column: str, digits: int) -> str:
        costs = {m: significant(_network(frame, m, column), digits) for m in ("RecoNet", *methods)}
        return ", ".join(f"{method} {cost}" for method, cost in costs.items()) + " G"

    def find(frame: pd.DataFrame) -> Answer:
        def share(method: str, column: str) -> float:
            return _network(frame, "RecoNet", column) / _network(frame, method, column)

        cheapest = max(methods, key=lambda method: share(method, INCREMENT))
        off = 100 * (share(cheapest, INCREMENT) - 1)
        side = "above" if off > 0 else "below"
        reasons = [
            "of FLOPs alone, mIoU not measured",
            f"{criterion}; it is {abs(off):.2g} % {side} {cheapest}",
        ]
        # Where the counted order is not the printed one, how the printed numbers were counted explains it.
        by_method = frame.set_index("method")
        if any((share(m, "printed_gflops") < 1) != (share(m, INCREMENT) < 1) for m in methods):
            decoded = by_method["flops_decode"].loc[["RecoNet", *methods]]
            fitting = by_method["flops_verdict"] == REPRODUCED
            reasons += [
                f"{method}'s printed number fits {words}" for method, words in decoded[fitting].items()
            ]
        return Answer(
            listed(frame, "printed_gflops", 3),
            listed(frame, INCREMENT, 4),
            f"{UNIFORM}, {WHERE}",
            share(cheapest, INCREMENT) < limit,
            "; ".join(reasons),
        )

    return find
