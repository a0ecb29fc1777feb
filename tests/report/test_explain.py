import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ctxbench import api
from ctxbench.report.explain import MAX_ROWS, Explanation
from ctxbench.tracing import one_pass


@pytest.fixture(scope="module")
def published() -> Explanation:
    return api.explain("reconet", (1, 16, 8, 8), implementation="published", counters=(), options={"rank": 8})


def test_many_modules_are_folded_into_one_row_and_lose_nothing(published: Explanation) -> None:
    by_operation, by_module = (grid.groups[0].rows for grid in published.grids()[1:3])
    assert len(by_module) == MAX_ROWS + 1
    assert re.fullmatch(r"\(\d+ others\)", by_module[-1][0].text)
    calls = [sum(int(row[1].text) for row in rows) for rows in (by_operation, by_module)]
    assert calls[0] == calls[1]


@pytest.mark.parametrize(("name", "mode", "passes"), [("se", "train", 2), ("emau", "infer", 3)])
def test_no_pass_is_recorded_twice(
    name: str, mode: Any, passes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inference and training of the form that is built, and inference of the published one."""
    recorded: list[tuple[type, str]] = []
    run = one_pass.Recording.run

    def counted(recording: one_pass.Recording) -> Any:
        recorded.append((type(recording.module), recording.wanted.mode))
        return run(recording)

    monkeypatch.setattr(one_pass.Recording, "run", counted)
    told = api.explain(name, (1, 16, 6, 5), mode=mode, counters=())
    assert len(recorded) == passes
    assert told.trace.mode == mode


def test_it_reads_at_100_columns() -> None:
    told = str(api.explain("nonlocal", (1, 512, 64, 64), mode="train", counters=()))
    assert max(map(len, told.splitlines())) <= 100
    assert "\n\nbackward, by operation\n" in told
    assert not re.search(r" +$", told, flags=re.M)


def test_what_a_cuda_device_would_hold_stands_under_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = api.count("reconet", (1, 64, 24, 20))
    told, shown = counted.to_frame().iloc[0], " ".join(str(counted).split())
    sizes = [round(told[f"reserved_{mode}_bytes"] / 2**20) for mode in ("infer", "train")]
    assert f"(simulated): {sizes[0]} MiB in inference and {sizes[1]} MiB in training. What PyTorch" in shown
    assert sizes == [counted.reserved_infer_bytes / 2**20, counted.reserved_train_bytes / 2**20]
    monkeypatch.setenv("PYTORCH_ALLOC_CONF", "expandable_segments:True")
    other = api.count("reconet", (1, 64, 24, 20))
    assert other.reserved_infer_bytes is other.reserved_train_bytes is None
    assert "PYTORCH_ALLOC_CONF sets expandable_segments:True, which is not simulated." in " ".join(
        str(other).split()
    )


class NoGradient(nn.Module):
    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        return x.sin()


class Exponential(nn.Module):
    """A convolution, and an operation whose cost has no formula."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return y + torch.linalg.matrix_exp(y[..., :50, :]).mean()


def test_a_block_without_a_training_pass_is_said_to_have_none() -> None:
    reserved, note = api.count(NoGradient(), (1, 8, 4, 5)).grids()[0].notes
    assert reserved.startswith("Memory reserved (simulated): 2 MiB in inference. What")
    assert note.startswith("No training pass: NoGradient fails forward and backward on (1, 8, 4, 5)")
    assert re.search(r"[^.]\.$", note)


def test_a_count_that_lacks_an_operation_is_marked_as_a_lower_bound() -> None:
    counted = api.count(Exponential(), (1, 8, 100, 50))
    shown = {
        (heading.header, heading.part): cell.text
        for heading, cell in zip(
            counted.grids()[0].headings, counted.grids()[0].groups[0].rows[0], strict=True
        )
    }
    assert shown["MACs", "forward"] == "≥ 0.00032000"
    assert shown["FLOPs", "forward"].startswith("≥ ")
    assert shown["MACs", "backward"] == "≥ 0.00064000"
    assert not any("≥" in shown[key] for key in shown if key[0] not in ("MACs", "FLOPs"))
    assert counted.to_frame().loc[0, "macs"] == 320_000
    assert "≥" not in str(api.count(Exponential().conv, (1, 8, 100, 50)))


def test_one_leaf_is_no_leaves() -> None:
    text = str(
        api.explain(
            "torch.nn:Conv2d", (1, 8, 4, 5), counters=(), options={"out_channels": 8, "kernel_size": 1}
        )
    )
    assert " in 1 leaf; every call counted" in text
    assert "of ctxbench's" in text
