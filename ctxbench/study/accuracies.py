"""What a study found of each block, put to the records of its cost: a run that has both. No torch."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ctxbench.measure import folder as measured
from ctxbench.measure.folder import Run
from ctxbench.measure.records import Accuracy
from ctxbench.study.accuracy.compare import Scored, difference, judged
from ctxbench.study.accuracy.plan import PLAN
from ctxbench.study.accuracy.rows import Row, Studied, mean_and_sd
from ctxbench.study.cells import COST
from ctxbench.study.frozen import grid as frozen
from ctxbench.study.whole.spec import trains


def run_folder(folder: Path) -> Path:
    """The folder of a run: that of its costs where it is a study's, else itself."""
    return folder / COST if (folder / PLAN).is_file() else folder


def read_run(folder: Path) -> Run:
    """Read a run, finished or not; that of a study, or of a study's costs, with its accuracies.

    Raises UserError where the folder holds none, or a damaged one.
    """
    folder = run_folder(folder)
    run, home = measured.read_run(folder), folder.parent
    if folder.name != COST or not (home / PLAN).is_file():
        return run
    if trains(home):
        from ctxbench.study.whole import study as whole  # which needs torch

        studied: Studied | None = whole.read(home, run)
        is_not = ""
    else:
        studied = frozen.read(home, run)
        is_not = " Not what a fine-tuned network reaches: heads on features of a frozen backbone."
    if studied is None:
        return run
    of_case = {row.record.case.id: row for row in studied.rows if row.record is not None}
    about = f"{studied.conditions}.{is_not}"
    records = [
        replace(record, accuracy=_accuracy(of_case[record.case.id], of_case, studied.rows[0], about))
        for record in run.records
    ]
    return Run(run.plan, records)


def _accuracy(row: Row, others: Mapping[str, Row], none: Row, about: str) -> Accuracy:
    if row.scored is None:
        return Accuracy(None, row.reason, study=about)
    scored, of_images = row.scored, float(row.scored.resampled.mean(1).var(ddof=1))
    mean = judged(scored.miou, of_images, scored.images)
    return Accuracy(
        miou_pct=mean.points,
        reason=row.reason,
        low_pct=mean.low,
        high_pct=mean.high,
        p={case: _p(scored, other.scored) for case, other in others.items() if other.scored is not None},
        none_pct=mean_and_sd(none.miou)[0],
        p_none=row.to_none.p if row.to_none is not None else None,
        study=about,
    )


def _p(ours: Scored, other: Scored) -> float | None:
    """Of their being equal; None where too few seeds tell."""
    found = difference(ours, other)
    return found.p if found is not None else None
