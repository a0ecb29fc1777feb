"""What is checked through the command line: a row of Table 10, and a training."""

from pathlib import Path

from section import Section, ctxbench

from ctxbench.measure.folder import read_run
from ctxbench.report import layout
from ctxbench.train.run import TrainedRun


def row_of_table10(device: str, folder: Path, channels: int, side: int, timeout_s: float) -> Section:
    """TGM+TRM in both forms, inference in float32, as Table 10 has it and ``profile`` shows it."""
    failed = ctxbench(
        "profile", "reconet", "--preset", "table10", "--channels", str(channels), "--size", str(side),
        "--implementation", "fast,published", "--device", device, "--counter", "none", "--budget", "2",
        "--out", str(folder), timeout_s=timeout_s,
    )  # fmt: skip
    title = "One row of Table 10, measured"
    if failed:
        return Section(title, wrong=[failed])
    records = read_run(folder).records
    wrong = [
        f"{record.case.implementation}: {record.status}, {record.reason}"
        for record in records
        if record.status != "ok"
    ]
    return Section(title, [layout.grid(records)], wrong=wrong)


def trained(device: str, folder: Path, iterations: int, timeout_s: float, *settings: str) -> TrainedRun | str:
    """A run of ``ctxbench train reconet``, or why it failed."""
    every = [f"iterations={iterations}", "evaluate_every=0", "checkpoint_every=0", *settings]
    failed = ctxbench(
        "train", "reconet", "--device", device.partition(":")[0], "--no-baseline", "--out", str(folder),
        *(part for setting in every for part in ("--set", setting)), timeout_s=timeout_s,
    )  # fmt: skip
    return failed or TrainedRun(folder)


def training(device: str, folder: Path, iterations: int, timeout_s: float, *settings: str) -> Section:
    """Iterations of ``train reconet`` on the generated set in bfloat16: the loss falls, and what it took."""
    title = f"{iterations} iterations of `train reconet` in bf16"
    run = trained(device, folder, iterations, timeout_s, "precision=bf16-mixed", *settings)
    if isinstance(run, str):
        return Section(title, wrong=[run])
    log, quarter = run.log(), max(1, iterations // 4)
    first, last = log["loss"].head(quarter).mean(), log["loss"].tail(quarter).mean()
    miou = run.evaluation.miou
    text = [
        f"The loss was {first:.3f} in the first {quarter} iterations and {last:.3f} in the last, means of "
        f"each; {log['images_per_s'].median():.0f} images/s in the median, "
        f"{100 * log['wait_share'].median():.0f} % of the time waiting for data; mIoU {100 * miou:.1f} %."
    ]
    wrong = [] if last < first else [f"the loss did not fall: {first:.3f}, then {last:.3f}"]
    return Section(title, text=text, wrong=wrong)
