"""Whether two studies of the same blocks put them in the same order.

``python reports/study/order.py FOLDER OTHER`` prints each block's place by mean mIoU in both, and Spearman's
ρ: by the means, and by the first seed alone.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd


def miou(folder: str) -> pd.DataFrame:
    """The mean mIoU and the first seed's, in percent, by block."""
    frame = pd.read_csv(Path(folder) / "study.csv").set_index("module")
    first = frame["miou_by_seed_pct"].astype(str).str.split().str[0].astype(float)
    return pd.DataFrame({"mean": frame["miou_mean_pct"], "first seed": first})


if __name__ == "__main__":
    one, other = (miou(folder) for folder in sys.argv[1:3])
    places = pd.DataFrame({"one": one["mean"].rank(), "other": other["mean"].rank()}).astype(int)
    print(places.sort_values("one").to_string())
    for of in one:
        print(f"Spearman's ρ by the {of}: {one[of].rank().corr(other[of].rank()):.2f}")
