"""The user's evaluated runs: read, and held against what the paper says of its own."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import isnan
from pathlib import Path
from typing import Any

from ctxbench.data import DATASETS
from ctxbench.errors import UserError
from ctxbench.evaluate.evaluation import Evaluation
from ctxbench.evaluate.files import read_evaluation
from ctxbench.evaluate.predictions import VOC
from ctxbench.networks.registry import NETWORKS, find
from ctxbench.paper.comparison import NOT_MEASURED, REPRODUCED
from ctxbench.paper.offers.evaluations import PRINTED, Printed, differences
from ctxbench.paper.offers.training_presets import PRESETS
from ctxbench.paper.printed import plain_name, rows
from ctxbench.paper.sheet import DIFFERS
from ctxbench.table.column import signed
from ctxbench.train.config import TrainConfig, configure
from ctxbench.train.presets import published
from ctxbench.train.run import CONFIG, TrainedRun

RECONET = "RecoNet"
VOC_TEST = replace(PRINTED["voc12"], split="test", images=1456, also_single_scale=False)
"""Tables 1 and 2: only VOC's server scores its test set."""


@dataclass(frozen=True)
class Reported:
    """A table of results: its title, the data sets it is of, how they were evaluated, and the training.

    ``preset`` names the settings of the last stage, ``stages`` the data sets trained on before, last first.
    """

    title: str
    datasets: tuple[str, ...]
    evaluated: Printed
    preset: str
    stages: tuple[str, ...] = ()


REPORTED = {
    1: Reported("PASCAL VOC 2012 test, without COCO", VOC, replace(VOC_TEST, table=1), "voc12aug"),
    2: Reported(
        "PASCAL VOC 2012 test, with COCO", VOC, replace(VOC_TEST, table=2), "voc12", ("voc12aug", "coco")
    ),
    3: Reported(
        "PASCAL-Context test, 60 classes",
        ("pascal_context", "pascal_context59"),
        PRINTED["pascal_context59"],
        "pascal_context59",
    ),
    4: Reported("COCO-Stuff test", ("coco_stuff",), PRINTED["coco_stuff"], "coco_stuff"),
    5: Reported("SIFT-Flow test", ("sift_flow",), PRINTED["sift_flow"], "sift_flow"),
    6: Reported("ADE20K val", ("ade20k",), PRINTED["ade20k"], "ade20k"),
    9: Reported("PASCAL VOC 2012 val", VOC, PRINTED["voc12"], "voc12aug"),
}
TRAINING = (
    *("dataset", "train_split", "stem", "dilations", "context_options", "global_pool", "channels"),
    *("auxiliary", "aux_weight", "crop", "scale", "flip", "colour", "epochs", "iterations", "batch", "lr"),
    *("head_lr_factor", "optimizer", "momentum", "weight_decay", "power"),
)
"""Settings of a run that are held against the preset's, network and backbone aside."""
OF_ONE_TRAINING = 9
"""The table whose networks the paper's authors trained alike; the others print what their own authors did."""
NOT_OURS = ("FCN",)
"""Methods that are another network than the one of their name here: the FCN of VGG-16."""


def can_be_run(table: int) -> dict[str, str]:
    """The methods of Table 1 to 6 that can be trained here, and the network that each is."""
    lines = rows(table)
    methods = list(lines[0])[1:] if table == 1 else [line["method"] for line in lines]
    return {
        method: plain_name(method)
        for method in methods
        if plain_name(method) in NETWORKS and method not in NOT_OURS
    }


@dataclass(frozen=True, eq=False)
class OwnRun:
    """An evaluation of the user's, its folder, and the training it is of, where that is known."""

    folder: Path
    evaluation: Evaluation
    config: TrainConfig | None = None

    def incomparable_reason(self) -> str:
        """Why its numbers cannot be held against any others; empty where they can."""
        dataset, split, images = self.evaluation.dataset, self.evaluation.split, self.evaluation.images
        in_split = DATASETS[dataset].counts.get(split) if dataset in DATASETS else None
        if in_split not in (None, images):
            return f"{images} images of the {in_split} in {dataset} {split}, so not comparable"
        if self.config is None or _origin_of(self.config.dataset) != _origin_of(dataset):
            return ""
        trained = _training(self.config)["train_split"]
        if split == trained or (split, trained) == ("val", "trainval"):
            return f"trained on {trained}, so on what it is evaluated on, and not comparable"
        return ""

    def differing_settings(self, table: int, method: str = RECONET, backbone: str = "") -> list[str]:
        """The settings that differ from those in which the paper's ``method`` is printed, in words.

        ``backbone`` is the printed row's, by default that of the table.
        """
        reported, network = REPORTED[table], self.evaluation.network
        evaluated = reported.evaluated
        differing = differences(self.evaluation, replace(evaluated, backbone=backbone or evaluated.backbone))
        if plain_name(network) != plain_name(method):
            differing.insert(0, f"network ({network}; printed: {method})")
        if self.config is None:
            return [*differing, "training not known"]
        settings = PRESETS[reported.preset].settings
        of_network = published(find(self.config.model), settings)
        preset = configure(settings, of_network, {"model": self.config.model})
        pairs = zip(_training(self.config).items(), _training(preset).values(), strict=True)
        differing += [
            f"{name} ({own}; {_whose(name)}: {paper})" for (name, own), paper in pairs if own != paper
        ]
        stages = _stages(self.config)
        if stages != reported.stages:
            before = ", ".join(reversed(reported.stages)) or "nothing"
            differing.append(
                f"trained before on ({', '.join(reversed(stages)) or 'nothing'}; paper: {before})"
            )
        if self.config.weights is None and not stages:
            differing.append("backbone from random weights (the paper does not say)")
        if method != RECONET and table != OF_ONE_TRAINING:
            differing.append(f"schedule (the RecoNet paper's; printed: that of {method}'s authors)")
        return differing

    def printed_as(self, table: int) -> str:
        """The method of Table 1 to 6 that the run's network is printed as; RecoNet where it is not."""
        by_model = {model: method for method, model in can_be_run(table).items()}
        return by_model.get(self.evaluation.network, RECONET)


def _whose(setting: str) -> str:
    """The paper prints no factor for the rate of new layers: the presets' has another source."""
    return "preset" if setting == "head_lr_factor" else "paper"


@dataclass(frozen=True)
class Placed:
    """A number of a run in % beside the printed one. ``reason`` says what stands behind the verdict."""

    value: float
    printed: str
    verdict: str
    reason: str
    on: str = ""
    """Where it was evaluated, as :func:`ctxbench.paper.provenance.evaluated` says it."""

    @property
    def difference(self) -> float | None:
        """In points, the run's less the printed; None where the two are not to be compared."""
        return None if self.verdict == NOT_MEASURED else self.value - float(self.printed)


def place(value: float, printed: str, differing: Sequence[str], incomparable: str = "") -> Placed:
    """Hold a number in % against the printed one.

    It is reproduced where it prints the same at the printed decimals, in the paper's own setting: where no
    settings are ``differing``. ``incomparable`` is the reason why it is not held against any.
    """
    if isnan(value) or incomparable:
        return Placed(value, printed, NOT_MEASURED, incomparable or "no pixel of it in truth or prediction")
    same = f"{value:.{len(printed.partition('.')[2])}f}" == printed
    if same and not differing:
        return Placed(value, printed, REPRODUCED, "")
    words = "prints the same" if same else f"{signed(value - float(printed), 2)} points"
    setting = f"in another setting: {'; '.join(differing)}" if differing else "in the paper's setting"
    return Placed(value, printed, DIFFERS, f"{words}, {setting}")


def read_runs(folders: Iterable[Path]) -> list[OwnRun]:
    """The evaluations in folders: each an evaluation's own, or that of a training run with one or more.

    Raises UserError naming a folder that has none, or a file that is not right.
    """
    return [run for folder in folders for run in _read(folder)]


def of_table(runs: Iterable[OwnRun], table: int) -> list[OwnRun]:
    """Those runs that are of the data set of Table 1 to 6 or 9."""
    return [run for run in runs if run.evaluation.dataset in REPORTED[table].datasets]


def for_table(runs: Sequence[OwnRun], table: int, *, skip_other_datasets: bool) -> tuple[list[OwnRun], str]:
    """The runs for a table, and why there are none, where there are none.

    Runs of another data set are left out with ``skip_other_datasets``, else refused: UserError names the
    first.
    """
    chosen = of_table(runs, table)
    wanted = " or ".join(REPORTED[table].datasets)
    other = next((run for run in runs if run not in chosen), None)
    if other is not None and not skip_other_datasets:
        raise UserError(f"{other.folder} is of {other.evaluation.dataset}; table{table} is of {wanted}")
    if chosen:
        return chosen, ""
    return [], f"of the runs given none is of {wanted}" if runs else "no evaluated run was given"


def _read(folder: Path) -> list[OwnRun]:
    if (folder / "metrics.json").is_file():
        return [_own(folder)]
    if not (folder / CONFIG).is_file():
        raise UserError(f"{folder} holds neither an evaluation (metrics.json) nor a training run ({CONFIG})")
    places = [*sorted(folder.glob("evaluations/*/")), folder / "evaluation"]
    evaluated = [_own(place) for place in places if (place / "metrics.json").is_file()]
    if not evaluated:
        raise UserError(f"{folder} has not been evaluated: ctxbench eval {folder} --ms-flip")
    return evaluated


def _own(folder: Path) -> OwnRun:
    evaluation = read_evaluation(folder)
    above = folder.absolute().parents[:2] if evaluation.scales else ()
    trained = next((place for place in above if (place / CONFIG).is_file()), None)
    return OwnRun(folder, evaluation, TrainedRun(trained).config if trained else None)


def _origin_of(dataset: str) -> str:
    """The name of the data set whose images a data set has."""
    return next((table.datasets[0] for table in REPORTED.values() if dataset in table.datasets), dataset)


def _training(config: TrainConfig) -> dict[str, Any]:
    """The settings of :data:`TRAINING`; what is unset but has one meaning is written out."""
    values = {name: getattr(config, name) for name in TRAINING}
    values["train_split"] = config.train_split or DATASETS[config.dataset].train_split
    values["epochs"] = config.epochs if not config.iterations else None
    values["dilations"] = config.dilations or (2, 4, 4)
    if config.model == "reconet" and config.context in (None, "reconet"):
        values["context_options"] = {"rank": 64, **config.context_options}
    return values


def _stages(config: TrainConfig) -> tuple[str, ...]:
    """The data sets of the trainings that a run began from, last first; a path where one is not there."""
    stages: list[str] = []
    origin = config.init
    while origin is not None:
        folder = Path(origin) if Path(origin).is_dir() else Path(origin).parent
        if not (folder / CONFIG).is_file():
            return (*stages, origin)
        before = TrainedRun(folder).config
        stages.append(before.dataset)
        origin = before.init
    return tuple(stages)
