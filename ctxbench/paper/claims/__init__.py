"""How the sheets' frames answer each of the paper's claims about cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pandas as pd

from ctxbench.paper.claims import growth, table9, table10
from ctxbench.paper.claims.answer import Answer


class Question(NamedTuple):
    """The sheet that a claim is held against, and how."""

    sheet: str
    find: Callable[[pd.DataFrame], Answer]
    """Raises LookupError where the frame lacks a number it needs."""


ANSWERS = {
    "100x_less": Question("table10", table10.times_less(100, table10.others)),
    "whole_model": Question("table9", table9.whole_model),
    "contributions": Question("table9", table9.whole_model),
    "efficient": Question("table10", table10.efficient),
    "huge": Question("table10", table10.huge),
    "rank": Question("growth", growth.rank),
    "surpass": Question("table9", table9.surpass),
    "low_cost": Question("table9", table9.low_cost),
    "non_local_order": Question("growth", growth.order("Non-Local")),
    "tgm_order": Question("growth", growth.tgm),
    "trm_order": Question("growth", growth.order("TRM, one rank")),
    "much_greater": Question("table10", table10.much_greater),
    "total_order": Question("growth", growth.order("TGM+TRM")),
    "much_smaller": Question("table10", table10.much_smaller),
    "negligible": Question("table10", table10.negligible),
    "900x_less": Question("table10", table10.about_900),
    "100x_less_than_others": Question("table10", table10.times_less(100, table10.not_baseline)),
    "lowest": Question("table10", table10.lowest),
    "memory": Question("table10", table10.memory),
}
"""By claim, as :func:`ctxbench.paper.printed.claims` names them."""
