"""What a counter answers, without the torch that it needs to work it out."""

from __future__ import annotations

from typing import Any, NamedTuple


class Lost(NamedTuple):
    """What a counter gave nothing to, as operation to calls: products, and element-wise work."""

    products: dict[str, int]
    elementwise: dict[str, int]


NOTHING_LOST = Lost({}, {})


def answer(macs: float, lost: Lost = NOTHING_LOST) -> dict[str, Any]:
    """A count of MACs, and the operations that it gave nothing to."""
    return {"gmacs": macs / 1e9, "missed": lost.products, "elementwise": lost.elementwise, "reason": ""}


def refusal(reason: str) -> dict[str, Any]:
    """No count, and why."""
    return {"gmacs": None, "missed": {}, "elementwise": {}, "reason": reason}
