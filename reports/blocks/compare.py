"""What ``try.py`` found beside what is known from the sources: ``python reports/blocks/compare.py``.

Writes ``result.csv``, a line a block, and prints shares. A block is *wrong* where it ran and its count
differs from torch's by more than 2 % without a mark as a lower bound, or its layout is not the source's.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOLERANCE = 0.02


def read(name: str) -> list[dict[str, str]]:
    """The rows of a CSV file here; none where there is none."""
    path = HERE / name
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def layout(bound: str) -> str:
    """The layout of the first tensor of a line that says what was bound."""
    match = re.search(r"inputs? (?:\w+: )?([^;,]*)", bound)
    return match[1].strip() if match else "N C H W"


def judged(row: dict[str, str], truth: dict[str, str] | None) -> str:
    """How one block went, in a few words."""
    if row["outcome"] != "ran":
        return "refused rightly" if truth and truth["kind"] in ("refuse", "square") else "refused"
    macs, theirs = int(row["macs"]), int(row["torch_macs"])
    if abs(macs - theirs) > TOLERANCE * max(macs, theirs, 1) and row["lower_bound"] != "True":
        return "wrong: count"
    if truth and truth["kind"] == "runs":
        text = truth["layout"].partition(";")[0].replace("(1 H W)", "(1 + H W)")
        known = [re.sub(r"^\w+: ", "", one.strip()) for one in text.split(" or ")]
        if layout(row["bound"]) not in known:
            return "wrong: layout"
    if truth and truth["kind"] == "refuse":
        return "wrong: ran"
    return "first try" if row["messages"] == "0" else f"after {row['messages']}"


def main() -> None:
    """Judge every block that was tried."""
    truths = {row["target"]: row for row in read("truth.csv")}
    results = [{**row, "result": judged(row, truths.get(row["target"]))} for row in read("tried.csv")]
    with (HERE / "result.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(results[0]))
        writer.writeheader()
        writer.writerows(results)
    for one in dict.fromkeys(row["set"] for row in results):
        counts = Counter(row["result"] for row in results if row["set"] == one)
        total = sum(counts.values())
        print(f"{one}: {total} blocks")
        for result, number in counts.most_common():
            print(f"  {result}: {number} ({100 * number / total:.0f} %)")
    for row in results:
        if row["result"].startswith(("wrong", "refused")):
            print(
                row["result"],
                row["target"],
                row["bound"] or row["said"][:200],
                row["macs"],
                row["torch_macs"],
            )


if __name__ == "__main__":
    main()
