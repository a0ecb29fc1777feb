"""Table 8 of the paper: RecoNet at ranks from 16 to 128, evaluated multi-scale and flipped (section 4.3)."""

from collections.abc import Callable, Sequence
from pathlib import Path

from ctxbench.networks.resnet import feature_size
from ctxbench.paper import printed
from ctxbench.paper.ablation.settings import MS_FLIP, Study, trained
from ctxbench.paper.ablation.sheet import sheet
from ctxbench.paper.sheet import Sheet
from ctxbench.paper.tables.table7 import RANK
from ctxbench.study.cells import Show
from ctxbench.study.whole.rows import Result, Row
from ctxbench.table.column import signed
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

    Raises UserError as :func:`ctxbench.study.whole.grid.run_grid` does.
    """
    results = trained(rank_rows(study), study, folder, progress, say)
    notes = [_bound_in_words(study)]
    return sheet("table8", TITLE, study, results, in_words(results), notes, command)


def rank_rows(study: Study) -> list[Row]:
    """The printed rows in their order, but for some of them in a quick study; compared with rank 64."""
    ranks = {int(line["rank"]): line["miou"] for line in printed.rows(8)}
    if study.quick:
        ranks = {rank: ranks[rank] for rank in QUICK_RANKS}
    reference = list(ranks).index(RANK)
    bound = _least_side(study.config(True))
    return [
        Row(
            f"rank {rank}",
            study.config(True, context="reconet", context_options={"rank": rank}, auxiliary=True),
            MS_FLIP,
            reference=None if rank == RANK else reference,
            printed=printed_miou,
            note=f"above {bound}, the feature map's least side" if rank > bound else "",
        )
        for rank, printed_miou in ranks.items()
    ]


def in_words(results: Sequence[Result]) -> list[str]:
    """The paper's two findings on rank, and whether they appeared."""
    measured = [result for result in results if result.mean is not None]
    others = [result for result in results if result.gain is not None]
    if not others:
        return ["Not measured: there is no rank beside 64 to compare with it."]
    best = max(measured, key=lambda result: result.mean or 0)
    return [_best(best, others), _not_monotone(others)]


def _best(best: Result, others: Sequence[Result]) -> str:
    claim = f"The paper: rank {RANK} is best"
    if best.gain is not None:
        sure = "significantly" if best.significant else "though not significantly"
        words = f"{best.row.label} is best, by {signed(best.gain)} points, {sure}"
        return f"{claim}. Here it did not appear in the means: {words}."
    behind = [other.row.label for other in others if other.significant and (other.gain or 0.0) < 0]
    if len(behind) == len(others):
        return f"{claim}. Here it appeared: all other ranks are significantly behind."
    some = (
        f"only {', '.join(behind)} significantly behind it" if behind else "no rank significantly behind it"
    )
    return f"{claim}. Here it has the highest mean too, but it is not significant: {some}."


def _not_monotone(others: Sequence[Result]) -> str:
    claim = "The paper: a larger rank does not always do better"
    above = [other for other in others if other.row.config.context_options["rank"] > RANK]
    if not above:
        return f"{claim}. Here: not measured, no rank above {RANK}."
    words = ", ".join(f"{other.row.label} {signed(other.gain or 0.0)}" for other in above)
    worse = [other for other in above if (other.gain or 0.0) < 0]
    if any(other.significant for other in worse):
        verdict = "it appeared: a rank above 64 is significantly worse"
    elif worse:
        verdict = f"not significant: a rank above {RANK} has a lower mean, as scatter alone may give"
    else:
        verdict = f"it did not appear: no rank above {RANK} is worse"
    return f"{claim}. Here {verdict} ({words} points to rank {RANK})."


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
