"""Table 8 of the paper: RecoNet at ranks from 16 to 128, evaluated multi-scale and flipped (section 4.3)."""

from collections.abc import Callable, Sequence
from pathlib import Path

from ctxbench.networks.resnet import feature_size
from ctxbench.paper import printed
from ctxbench.paper.ablation.sheet import sheet, signed
from ctxbench.paper.sheet import Sheet
from ctxbench.paper.tables.table7 import RANK
from ctxbench.study.executor import Show
from ctxbench.study.grid import Cell
from ctxbench.study.study import MS_FLIP, Compared, Row, Study, trained
from ctxbench.train.config import TrainConfig

TITLE = "Table 8 of the paper, tensor rank"
QUICK_RANKS = (16, 64, 128)


def table8(
    study: Study,
    folder: Path,
    *,
    command: Sequence[str] = (),
    progress: Show | None = None,
    say: Callable[[str], None] | None = None,
) -> Sheet:
    """Train Table 8's rows in ``folder``, or go on with them, and hold the printed directions against them.

    Rank 64 is a run that Table 7 has too, where both are made in one folder.

    Raises UserError as :func:`ctxbench.study.grid.run_grid` does.
    """
    found = trained(rank_rows(study), study, folder, progress, say)
    notes = [_bound_in_words(study)]
    return sheet("table8", TITLE, study, found, in_words(found), notes, command)


def rank_rows(study: Study) -> list[Row]:
    """The printed rows in their order, but for some of them in a quick study; compared with rank 64."""
    ranks = {int(line["rank"]): line["miou"] for line in printed.rows(8)}
    if study.quick:
        ranks = {rank: ranks[rank] for rank in QUICK_RANKS}
    reference = list(ranks).index(RANK)
    cells = {
        rank: Cell(
            f"rank {rank}",
            study.config(True, context="reconet", context_options={"rank": rank}, auxiliary=True),
            MS_FLIP,
        )
        for rank in ranks
    }
    bound = _least_side(study.config(True))
    return [
        Row(
            cells[rank],
            ranks[rank],
            None if rank == RANK else reference,
            note=f"above {bound}, the feature map's least side" if rank > bound else "",
        )
        for rank in ranks
    ]


def in_words(found: Sequence[Compared]) -> list[str]:
    """The paper's two findings on rank, and whether they appeared."""
    measured = [one for one in found if one.result.mean is not None]
    others = [one for one in found if one.difference is not None]
    if not others:
        return ["Not measured: there is no rank beside 64 to compare with it."]
    best = max(measured, key=lambda one: one.result.mean or 0)
    return [_best(best, others), _not_monotone(others)]


def _best(best: Compared, others: Sequence[Compared]) -> str:
    claim = f"The paper: rank {RANK} is best"
    if best.difference is not None:
        sure = "significantly" if best.difference.significant else "though not significantly"
        gain = signed(best.difference.mean)
        words = f"{best.row.cell.label} is best, by {gain} points, {sure}"
        return f"{claim}. Here it did not appear in the means: {words}."
    behind = [one.row.cell.label for one in others if (d := one.difference) and d.significant and d.mean < 0]
    if len(behind) == len(others):
        return f"{claim}. Here it appeared: all other ranks are significantly behind."
    some = (
        f"only {', '.join(behind)} significantly behind it" if behind else "no rank significantly behind it"
    )
    return f"{claim}. Here it has the highest mean too, but it is not significant: {some}."


def _not_monotone(others: Sequence[Compared]) -> str:
    claim = "The paper: a larger rank does not always do better"
    above = [one for one in others if one.row.cell.config.context_options["rank"] > RANK]
    if not above:
        return f"{claim}. Here: not measured, no rank above {RANK}."
    gains = {one.row.cell.label: one.difference for one in above if one.difference is not None}
    words = ", ".join(f"{label} {signed(gain.mean)}" for label, gain in gains.items())
    worse = [gain for gain in gains.values() if gain.mean < 0]
    if any(gain.significant for gain in worse):
        said = "it appeared: a rank above 64 is significantly worse"
    elif worse:
        said = f"not significant: a rank above {RANK} has a lower mean, as scatter alone may give"
    else:
        said = f"it did not appear: no rank above {RANK} is worse"
    return f"{claim}. Here {said} ({words} points to rank {RANK})."


def _sides(config: TrainConfig) -> tuple[int, int, int]:
    """C, H and W of X."""
    side = feature_size(config.crop)
    return config.channels, side, side


def _least_side(config: TrainConfig) -> int:
    return min(_sides(config))


def _bound_in_words(study: Study) -> str:
    """Which rank X can have, by the paper's own reckoning and by the bound that holds."""
    config = study.config(True)
    C, H, W = _sides(config)
    bound = min(C * H, C * W, H * W)
    return (
        f"X is {C}×{H}×{W} in training. The paper takes the largest rank of X to be its least side, "
        f"64 of 512×64×64; here that is {_least_side(config)}, and rows above it have a footnote. It is no "
        f"bound on tensors: one of {C}×{H}×{W} has rank {bound} at most, min(CH, CW, HW) (Kruskal 1989)."
    )
