"""What a counter answers, without the torch that it needs to work it out."""

from __future__ import annotations

from typing import Any


def answer(macs: float, missed: dict[str, int], elementwise: dict[str, int]) -> dict[str, Any]:
    """A count of MACs, and the operations that it gave nothing to: products, and element-wise work."""
    return {"gmacs": macs / 1e9, "missed": missed, "elementwise": elementwise, "reason": ""}


def refusal(reason: str) -> dict[str, Any]:
    """No count, and why."""
    return {"gmacs": None, "missed": {}, "elementwise": {}, "reason": reason}
