"""What fake tensors cannot run is run for real: elsewhere, behind an estimate, and the trace says so."""

import ctypes
import multiprocessing
import os
import re
import threading
from collections.abc import Callable

import numpy as np
import pytest
import torch
from tokens import LooksAtValues
from torch import Tensor, nn

from ctxbench.errors import UserError
from ctxbench.sandbox import child, host
from ctxbench.sandbox.fake import fake_tensors
from ctxbench.tracing import record, trace, views

C, H, W = 8, 6, 5
SHAPE = (2, C, H, W)
CONV = 2 * C * C * H * W
"""MACs of a point-wise convolution of SHAPE."""


class Block(nn.Module):
    """A point-wise convolution, to which the blocks below do something."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(C, C, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


PLACEMENTS: dict[str, Callable[[nn.Module], object]] = {
    "to a device": lambda m: m.to("cpu"),
    "half": lambda m: m.half(),
    "double": lambda m: m.double().float(),
    "channels last": lambda m: m.to(memory_format=torch.channels_last),
    "meta": lambda m: m.to("meta"),
    "empty": lambda m: m.to_empty(device="cpu"),
    "shared": lambda m: m.share_memory(),
}


@pytest.mark.parametrize("name", list(PLACEMENTS))
@pytest.mark.parametrize("mode", ["infer", "train"])
def test_a_module_may_move_itself_in_its_constructor(name: str, mode: str) -> None:
    class Placed(Block):
        def __init__(self) -> None:
            super().__init__()
            PLACEMENTS[name](self)

    run = trace(Placed, SHAPE, mode=mode)
    assert (views.macs(run), run.tensors, run.note) == (CONV, "fake", "")


class Lazy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.LazyConv2d(4, 1), nn.LazyBatchNorm2d()

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))


@pytest.mark.parametrize("mode", ["infer", "train"])
@pytest.mark.parametrize("subject", [Lazy, Lazy()], ids=["class", "instance"])
def test_lazy_layers_take_their_sizes_from_the_input(subject: object, mode: str) -> None:
    run = trace(subject, SHAPE, mode=mode)  # type: ignore[arg-type]
    assert (views.macs(run), run.params, run.tensors) == (CONV // 2, 4 * (C + 1) + 8, "fake")
    if isinstance(subject, nn.Module):
        assert isinstance(subject.conv, nn.LazyConv2d)  # the subject itself has still met no input


class Locked(Block):
    """Holds what cannot be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.lock, self.random = threading.Lock(), torch.Generator().manual_seed(3)

    def forward(self, x: Tensor) -> Tensor:
        with self.lock:
            return self.conv(x) + torch.randn(x.shape, generator=self.random)


def test_what_cannot_be_copied_is_shared_and_left_as_it_was() -> None:
    module = Locked()
    state = module.random.get_state()
    assert views.macs(trace(module, SHAPE)) == CONV
    assert torch.equal(module.random.get_state(), state)
    assert not module.lock.locked()


@pytest.mark.parametrize("slope", [nn.ReLU(inplace=True), nn.Dropout(0.5, inplace=True), nn.ReLU6(True)])
def test_a_first_layer_that_works_in_place_gets_a_clone_in_training_and_that_is_said(
    slope: nn.Module,
) -> None:
    module = nn.Sequential(slope, nn.Conv2d(C, C, 1))
    run = trace(module, SHAPE, mode="train")
    assert (views.macs(run), views.macs(run, "backward"), run.tensors) == (CONV, 2 * CONV, "fake")
    assert "clone" in run.note
    assert trace(module, SHAPE).note == ""


# --- on real tensors ----------------------------------------------------------------------------------------


class ThroughNumpy(Block):
    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) * float(np.asarray(x.detach()).mean())


class Pointer(Block):
    """Hands an address to native code."""

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) * ctypes.c_float.from_address(x.detach().contiguous().data_ptr()).value


class Exchanged(Block):
    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + torch.utils.dlpack.from_dlpack(torch.utils.dlpack.to_dlpack(x.detach()))


class Branching(Block):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cond(x.sum() > -1e9, lambda x: self.conv(x), lambda x: x.sin(), (x,))


class SplitByTensor(Block):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat(torch.tensor_split(self.conv(x), torch.tensor([3]), 1), 1)


class Ragged(nn.Module):
    """A linear layer on two sequences of unequal length."""

    def __init__(self, layout: torch.layout) -> None:
        super().__init__()
        self.linear, self.layout = nn.Linear(W, W), layout

    def forward(self, x: Tensor) -> Tensor:
        pair = torch.nested.nested_tensor([x[0, :, 0], x[0, :3, 1]], layout=self.layout)
        return x + torch.nested.to_padded_tensor(self.linear(pair), 0.0).sum()


class Checked(Block):
    def forward(self, x: Tensor) -> Tensor:
        assert torch.isfinite(x).all()
        return self.conv(x)


REAL: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "numpy": (ThroughNumpy, CONV),
    "pointer": (Pointer, CONV),
    "dlpack": (Exchanged, CONV),
    "cond": (Branching, CONV),
    "tensor_split": (SplitByTensor, CONV),
    "nested": (lambda: Ragged(torch.strided), (C + 3) * W * W),
    "jagged": (lambda: Ragged(torch.jagged), (C + 3) * W * W),
    "assert": (Checked, CONV),
}


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("name", list(REAL))
@pytest.mark.parametrize("mode", ["infer", "train"])
@pytest.mark.parametrize("as_instance", [True, False])
def test_what_fake_tensors_cannot_run_is_recorded_on_real_ones(
    name: str, mode: str, as_instance: bool
) -> None:
    build, macs = REAL[name]
    backward = macs if name in ("nested", "jagged") else 2 * macs  # no gradient reaches the input there
    run = trace(build() if as_instance else build, SHAPE, mode=mode)
    assert (views.macs(run), run.tensors) == (macs, "real")
    assert views.macs(run, "backward") == (backward if mode == "train" else 0)
    assert run.note.startswith("recorded on real tensors: ")
    assert not run.lower_bound


@torch.library.custom_op("ctxbench_tests::twice", mutates_args=())
def twice(x: Tensor) -> Tensor:
    return 2 * x


def test_an_operation_without_a_fake_kernel_is_recorded_for_real_and_named() -> None:
    class Custom(Block):
        def forward(self, x: Tensor) -> Tensor:
            return twice(self.conv(x))

    run = trace(Custom(), SHAPE)
    assert (views.macs(run), run.unknown_ops) == (CONV, {"ctxbench_tests.twice.default": 1})
    assert (run.tensors, run.lower_bound) == ("real", True)
    with pytest.raises(RuntimeError, match="no autograd formula was registered"):
        trace(Custom(), SHAPE, mode="train")


class Crashes(Checked):
    """Reads at address zero, on real tensors alone."""

    def forward(self, x: Tensor) -> Tensor:
        assert torch.isfinite(x).all()
        ctypes.string_at(0)
        return x


class Leaves(Checked):
    def forward(self, x: Tensor) -> Tensor:
        assert torch.isfinite(x).all()
        os._exit(7)


@pytest.mark.parametrize(
    ("module", "says"), [(Crashes(), "killed by SIGSEGV, a fault in native code"), (Leaves(), "exit code 7")]
)
def test_a_crash_costs_that_trace_alone(module: nn.Module, says: str) -> None:
    with pytest.raises(UserError, match=says):
        trace(module, SHAPE)


def test_it_works_in_a_worker_that_may_have_no_children_of_its_own() -> None:
    pool = multiprocessing.get_context("spawn").Pool(1)  # its workers are daemons
    with pool:
        assert pool.apply(_macs_of_checked) == CONV


def _macs_of_checked() -> int:
    return views.macs(trace(Checked, SHAPE))


def test_what_the_module_raises_comes_through_with_where_it_was_raised() -> None:
    class OwnError(ValueError):
        def __init__(self, one: int, two: int) -> None:
            super().__init__(f"{one} and {two}")

    class Fails(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            assert torch.isfinite(x).all()
            raise (ZeroDivisionError("no map") if x.shape[0] == 2 else OwnError(1, 2))

    with pytest.raises(ZeroDivisionError, match="no map") as error:
        trace(Fails(), SHAPE)
    assert any("test_real.py" in note for note in error.value.__notes__)
    with pytest.raises(RuntimeError, match="OwnError: 1 and 2"):
        trace(Fails(), (1, C, H, W))


def test_a_child_that_stands_still_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "STUCK_S", 0.2)
    monkeypatch.setattr(child, "LOOK_S", 0.05)
    with pytest.raises(UserError, match="no progress"):
        child.in_child(threading.Event().wait)


class Attention(nn.Module):
    """Looks at values, then holds two maps of all pairs."""

    def forward(self, x: Tensor) -> Tensor:
        assert torch.isfinite(x).all()
        assert float(np.asarray(x.detach()).max()) < 9
        q = x.flatten(2)  # (N, C, L)
        return (q @ (q.mT @ q).softmax(-1)).reshape(x.shape)


def test_real_tensors_that_would_not_fit_are_refused_with_the_estimate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    side = 4096
    pairs = 2 * 4 * side**4
    with pytest.raises(
        UserError, match=r"it would take about [\d,]+ bytes, and [\d,]+ are available"
    ) as error:
        trace(Attention(), (1, 2, side, side))
    number = re.search(r"about ([\d,]+)", str(error.value))
    assert number is not None
    assert pairs < int(number[1].replace(",", "")) < 1.01 * pairs
    monkeypatch.setattr(record, "available_bytes", lambda: 1000)
    with pytest.raises(UserError, match="1,000 are available"):
        trace(Attention(), SHAPE)


def test_the_estimate_is_what_the_pass_takes_where_it_can_be_followed() -> None:
    run = trace(Attention(), SHAPE, mode="train")
    estimate = record._estimate(Attention(), record.Pass(SHAPE, torch.float32, "contiguous", "train"))
    assert estimate.complete
    assert estimate.bytes == views.peak_bytes(run) + 4 * 2 * C * H * W


def test_more_memory_than_the_estimate_said_is_refused_where_it_is_taken() -> None:
    class Hides(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            numbers = np.asarray(x.detach())
            if numbers.std() > 0:  # not so where values are guessed
                torch.empty(host.available_bytes() * 2, dtype=torch.uint8)
            return x

    with pytest.raises(UserError, match="takes more memory than there is"):
        trace(Hides(), SHAPE)


def test_addresses_of_fake_tensors_are_refused_not_null() -> None:
    with fake_tensors(), pytest.raises(RuntimeError, match="data pointer"):
        torch.ones(3).data_ptr()


def test_among_fake_tensors_there_are_no_real_ones_to_fall_back_to() -> None:
    with fake_tensors(), pytest.raises(record.DATA_DEPENDENT):
        trace(Checked, SHAPE)


def _loses_its_threads(call: object, cpu_limit_s: float) -> None:
    raise RuntimeError(f"Unable to handle {child.LOST_THREADS}-based multiprocessing.")


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["infer", "train"])
def test_where_a_fork_cannot_run_backward_a_new_process_does(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a backward pass on a GPU, whose threads a fork has lost: simulated, there is no GPU here."""
    monkeypatch.setattr(child, "_in_fork", _loses_its_threads)
    run = trace(LooksAtValues(), SHAPE, mode=mode)
    assert run.tensors == "real"
    assert [op.name for op in run.ops if "sigmoid" in op.name][:1] == ["aten.sigmoid.default"]
    with pytest.raises(UserError, match="needs a new process and cannot be sent there"):
        trace(nn.Sequential(Locked(), LooksAtValues()), SHAPE, mode=mode)
