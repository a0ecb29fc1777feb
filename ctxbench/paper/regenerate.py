"""``ctxbench.paper(...)``: the verb as a function, which the command line calls too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ctxbench.errors import UserError
from ctxbench.paper.ablation.settings import Study
from ctxbench.paper.make import Request, make, make_all
from ctxbench.paper.printed.table10 import PAPER_SHAPE
from ctxbench.paper.tables.frozen import NAME as FROZEN
from ctxbench.paper.tables.table10 import RANK
from ctxbench.study.accuracy.plan import PLAN as STUDY
from ctxbench.train.config import assignments

if TYPE_CHECKING:
    from ctxbench.measure.progress import RunProgress
    from ctxbench.paper.sheet import Sheet
    from ctxbench.study.cells import Show

TRAINED = ("table7", "table8", "all")
"""What trains networks, and so takes a data set, weights, seeds and settings."""


def paper(
    table: str,
    *,
    out: str | Path = "reports/paper",
    runs: Sequence[str | Path] = (),
    channels: int = PAPER_SHAPE[1],
    size: int | tuple[int, int] = PAPER_SHAPE[2],
    rank: int = RANK,
    device: str | None = None,
    quick: bool = False,
    dataset: str = "synthetic",
    root: str | Path | None = None,
    weights: Mapping[str, str | Path] | None = None,
    seeds: int | None = None,
    settings: Mapping[str, Any] | Sequence[str] = (),
    command: Sequence[str] = (),
    measuring: Callable[[RunProgress], None] | None = None,
    training: Show | None = None,
    say: Callable[[str], None] | None = None,
) -> list[Sheet]:
    """Regenerate a table or figure of the RecoNet paper beside what was printed; ``"all"`` makes every one.

    ``table`` is "table1" to "table10", "fig5", "growth" (the orders claimed), "frozen" or "all", which also
    writes the ledger of claims and an index page. ``runs`` are folders of evaluated runs, placed in tables 1
    to 6 and 9, and of studies on frozen features, of which "frozen" shows what tables 5, 7 and 8 are about.
    ``channels``, ``size`` (H = W, or (H, W)), ``rank`` and ``device`` are table 10's; ``dataset``, ``root``,
    ``weights`` (backbone to file), ``seeds`` (trainings of each row) and ``settings`` those of the trainings
    of tables 7 and 8. ``quick`` shortens both. What is finished in ``out`` is not done again.

    Raises UserError for a table there is not, and where a run, a setting or the folder is refused.
    """
    study = Study()
    if table in TRAINED:
        assigned = dict(settings) if isinstance(settings, Mapping) else assignments(settings)
        study = Study(
            dataset=dataset,
            root=None if root is None else Path(root),
            device=_trainer(device),
            weights={backbone: Path(file) for backbone, file in (weights or {}).items()},
            n_seeds=seeds,
            quick=quick,
            settings=assigned,
        )
    places = tuple(map(Path, runs))
    studies = tuple(place for place in places if (place / STUDY).is_file())
    if studies and table not in (FROZEN, "all"):
        raise UserError(f"{studies[0]} is a study; of those, ctxbench paper {FROZEN} alone shows numbers")
    request = Request(
        out=Path(out),
        runs=tuple(run for run in places if run not in studies),
        studies=studies,
        channels=channels,
        size=size if isinstance(size, tuple) else (size, size),
        rank=rank,
        device=device or "cpu",
        quick=quick,
        study=study,
        command=command,
        measuring=measuring,
        training=training,
        say=say,
    )
    return make_all(request) if table == "all" else [make(table, request)]


def _trainer(device: str | None) -> Literal["auto", "cpu", "cuda"]:
    if device is None:
        return "auto"
    if device == "cpu":
        return "cpu"
    if device == "cuda":
        return "cuda"
    raise UserError(
        f"trainings take cpu or cuda, which is the first GPU that CUDA_VISIBLE_DEVICES shows; not {device!r}"
    )
