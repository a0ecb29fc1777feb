"""The simulated caching allocator: PyTorch's rules on sequences worked by hand, and what always holds."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokens import Tokens
from torch import Tensor, nn

from ctxbench import api
from ctxbench.tracing import Trace, trace, views
from ctxbench.tracing.cuda import NotSimulatedError, Settings, peak_reserved
from ctxbench.tracing.cuda.allocator import Allocator, Block, OutOfDeviceMemoryError
from ctxbench.tracing.cuda.settings import (
    CUBLAS_BYTES,
    CUBLAS_BYTES_HOPPER,
    settings_of,
)
from ctxbench.tracing.ops import INSIDE, MemoryEvent

K, M = 2**10, 2**20
Step = tuple[str, float, int, int]
"""``a`` takes bytes under that name, ``a@1`` on stream 1; ``-a`` gives them back, ``empty`` the cache. Then
what is allocated, and what is reserved."""

VECTORS: dict[str, list[Step]] = {
    "1 rounding and the small segment": [
        ("a", 1, 512, 2097152),
        ("b", 513, 1536, 2097152),
        ("c", 1024000, 1025536, 2097152),
        ("d", 1048576, 2074112, 2097152),
        ("-a", 0, 2073600, 2097152),
        ("-b", 0, 2072576, 2097152),
        ("-c", 0, 1048576, 2097152),
        ("-d", 0, 0, 2097152),
        ("empty", 0, 0, 0),
    ],
    "2 the edge between the pools": [
        ("a", 1048576, 1048576, 2097152),
        ("b", 1048577, 2097664, 23068672),
        ("-a", 0, 1049088, 23068672),
        ("c", 921600, 1970688, 23068672),
        ("d", 2097152, 4067840, 23068672),
    ],
    "3 the 20 MiB segment and its splits": [
        ("a", 6291456, 6291456, 20971520),
        ("b", 6291456, 12582912, 20971520),
        ("c", 6291456, 18874368, 20971520),
        ("d", 2097152, 20971520, 20971520),
        ("e", 2097152, 23068672, 41943040),
    ],
    "4 from 10 MiB on a segment of its own, in steps of 2 MiB": [
        ("a", 10485759, 10485760, 10485760),
        ("b", 10485760, 20971520, 20971520),
        ("c", 10485761, 31457792, 33554432),
        ("d", 8388608, 39846400, 54525952),
        ("-c", 0, 29360128, 54525952),
        ("e", 11534336, 41943040, 54525952),
    ],
    "5 a remainder of 1 MiB stays with the block": [
        ("a", 19922945, 20971520, 20971520),
        ("-a", 0, 0, 20971520),
        ("b", 19922944, 20971520, 20971520),
        ("-b", 0, 0, 20971520),
        ("c", 19922432, 19922432, 20971520),
    ],
    "6 best fit and merging": [
        ("a", 12582912, 12582912, 12582912),
        ("b", 31457280, 44040192, 44040192),
        ("-a", 0, 31457280, 44040192),
        ("-b", 0, 0, 44040192),
        ("c", 8388608, 8388608, 44040192),
        ("d", 13631488, 22020096, 44040192),
        ("e", 4194304, 26214400, 44040192),
        ("-d", 0, 12582912, 44040192),
        ("-c", 0, 4194304, 44040192),
        ("f", 27262976, 31457280, 44040192),
        ("-e", 0, 27262976, 44040192),
        ("-f", 0, 0, 44040192),
        ("empty", 0, 0, 0),
    ],
    "7 a split segment is not returned": [
        ("a", 5242880, 5242880, 20971520),
        ("b", 5242880, 10485760, 20971520),
        ("-a", 0, 5242880, 20971520),
        ("empty", 0, 5242880, 20971520),
        ("c", 12582912, 17825792, 33554432),
        ("-b", 0, 12582912, 33554432),
        ("empty", 0, 12582912, 12582912),
    ],
    "8 max_split_size_mb:64": [
        ("a", 104857600, 104857600, 104857600),
        ("-a", 0, 0, 104857600),
        ("b", 52428800, 52428800, 157286400),
        ("c", 84934656, 157286400, 157286400),
        ("d", 67108864, 224395264, 224395264),
        ("-c", 0, 119537664, 224395264),
        ("e", 73400320, 192937984, 297795584),
    ],
    "9 out of memory at 100 MiB, then a retry": [
        ("a", 41943040, 41943040, 41943040),
        ("b", 41943040, 83886080, 83886080),
        ("-a", 0, 41943040, 83886080),
        ("c", 62914560, 104857600, 104857600),
        ("-b", 0, 62914560, 104857600),
        ("d", 31457280, 94371840, 104857600),
    ],
    "10 cuBLAS's workspace before Hopper": [
        ("x", 4194304, 4194304, 20971520),
        ("workspace", CUBLAS_BYTES, 12713984, 20971520),
        ("y", 4194304, 16908288, 20971520),
        ("-y", 0, 12713984, 20971520),
        ("z", 4194304, 16908288, 20971520),
        ("-x", 0, 12713984, 20971520),
        ("-z", 0, 8519680, 20971520),
        ("empty", 0, 8519680, 20971520),
    ],
    "10b cuBLAS's workspace on Hopper": [
        ("x", 4194304, 4194304, 20971520),
        ("workspace", CUBLAS_BYTES_HOPPER, 37748736, 54525952),
        ("y", 4194304, 41943040, 54525952),
        ("-y", 0, 37748736, 54525952),
        ("-x", 0, 33554432, 54525952),
        ("empty", 0, 33554432, 33554432),
    ],
    "12 roundup_power2_divisions:4": [
        ("a", 1200, 1536, 2097152),
        ("b", 2049, 4096, 2097152),
        ("c", 5242880, 5246976, 23068672),
        ("d", 6291457, 12587008, 23068672),
    ],
}
"""The vectors of the research note, in bytes; 11 is without caching, and has its test below."""

BY_HAND: dict[str, list[Step]] = {
    "nothing takes nothing": [("a", 0, 0, 0), ("-a", 0, 0, 0)],
    "511, 512 and 513 bytes": [("a", 511, 512, 2 * M), ("b", 512, 1024, 2 * M), ("c", 513, 2048, 2 * M)],
    "a full small segment is followed by another": [
        ("a", M, M, 2 * M),
        ("b", M, 2 * M, 2 * M),
        ("c", 1, 2 * M + 512, 4 * M),
    ],
    "the last 512 bytes of a small segment": [
        ("a", M, M, 2 * M),
        ("b", M - 512, 2 * M - 512, 2 * M),
        ("c", 1, 2 * M, 2 * M),
    ],
    "1 MiB and 512 bytes are split off a large segment, and serve the least large request": [
        ("a", 19 * M - 512, 19 * M - 512, 20 * M),
        ("b", M + 1, 20 * M, 20 * M),
    ],
    "a large request takes nothing of the small pool": [
        ("a", 1, 512, 2 * M),
        ("b", 1.5 * M, M + M // 2 + 512, 22 * M),
    ],
    "a small request takes nothing of the large pool": [
        ("a", 2 * M, 2 * M, 20 * M),
        ("-a", 0, 0, 20 * M),
        ("b", 1, 512, 22 * M),
    ],
    "the smallest that fits, whatever came first": [
        ("a", 12 * M, 12 * M, 12 * M),
        ("b", 16 * M, 28 * M, 28 * M),
        ("c", 14 * M, 42 * M, 42 * M),
        ("-a", 0, 30 * M, 42 * M),
        ("-b", 0, 14 * M, 42 * M),
        ("-c", 0, 0, 42 * M),
        ("d", 13 * M, 14 * M, 42 * M),  # of 14, and the 1 MiB that is left goes with it
        ("e", 13 * M, 27 * M, 42 * M),  # of 16: 3 are left
        ("f", 3 * M, 30 * M, 42 * M),
        ("g", 12 * M, 42 * M, 42 * M),
    ],
    "what is freed between two free blocks makes one of three": [
        ("a", 5 * M, 5 * M, 20 * M),
        ("b", 5 * M, 10 * M, 20 * M),
        ("c", 5 * M, 15 * M, 20 * M),
        ("d", 5 * M, 20 * M, 20 * M),
        ("-a", 0, 15 * M, 20 * M),
        ("-c", 0, 10 * M, 20 * M),
        ("-b", 0, 5 * M, 20 * M),
        ("e", 15 * M, 20 * M, 20 * M),  # would have a segment of its own, but is cached
    ],
    "free blocks that do not touch do not join": [
        ("a", 5 * M, 5 * M, 20 * M),
        ("b", 5 * M, 10 * M, 20 * M),
        ("c", 5 * M, 15 * M, 20 * M),
        ("d", 5 * M, 20 * M, 20 * M),
        ("-a", 0, 15 * M, 20 * M),
        ("-c", 0, 10 * M, 20 * M),
        ("e", 10 * M, 20 * M, 30 * M),
    ],
    "blocks stay with their stream": [
        ("a", 4 * M, 4 * M, 20 * M),
        ("b@1", 4 * M, 8 * M, 40 * M),
        ("-a", 0, 4 * M, 40 * M),
        ("c@1", 14 * M, 18 * M, 40 * M),  # of the 16 that b left
        ("d@1", 4 * M, 22 * M, 60 * M),  # 2 are left of them, and the free 20 are stream 0's
        ("e", 20 * M, 42 * M, 60 * M),
    ],
    "the cache is emptied of whole segments, in both pools": [
        ("a", 1, 512, 2 * M),
        ("b", 6 * M, 6 * M + 512, 22 * M),
        ("-b", 0, 512, 22 * M),
        ("empty", 0, 512, 2 * M),
        ("-a", 0, 0, 2 * M),
        ("empty", 0, 0, 0),
    ],
    "just below 10 MiB, then 10 MiB out of what is left": [
        ("a", 10 * M - 512, 10 * M - 512, 20 * M),
        ("b", 10 * M, 20 * M, 20 * M),  # 512 bytes are left, and go with it
    ],
    "an emptied cache starts anew": [
        ("a", 30 * M, 30 * M, 30 * M),
        ("-a", 0, 0, 30 * M),
        ("empty", 0, 0, 0),
        ("b", 25 * M, 26 * M, 26 * M),
    ],
    "11 MiB and just below, in segments of 12": [
        ("a", 11 * M, 12 * M, 12 * M),
        ("b", 11 * M - 512, 23 * M - 512, 24 * M),
    ],
    "best fit among small blocks": [
        ("a", 256 * K, 256 * K, 2 * M),
        ("b", 64 * K, 320 * K, 2 * M),
        ("c", 128 * K, 448 * K, 2 * M),
        ("d", 64 * K, 512 * K, 2 * M),
        ("-a", 0, 256 * K, 2 * M),
        ("-c", 0, 128 * K, 2 * M),
        ("e", 100 * K, 228 * K, 2 * M),  # of c's 128
        ("f", 28 * K, 256 * K, 2 * M),  # the rest of them
        ("-b", 0, 192 * K, 2 * M),  # joins a's place: 320
        ("g", 320 * K, 512 * K, 2 * M),
    ],
    "half a MiB is no remainder, 2 MiB are": [
        ("a", 19.5 * M, 20 * M, 20 * M),
        ("-a", 0, 0, 20 * M),
        ("b", 18 * M, 18 * M, 20 * M),
        ("c", 2 * M, 20 * M, 20 * M),
    ],
}
OVERSIZE: dict[str, list[Step]] = {
    "an oversize block may be larger by less than 20 MiB": [
        ("a", 84 * M, 84 * M, 84 * M),
        ("-a", 0, 0, 84 * M),
        ("b", 64 * M, 64 * M, 148 * M),
        ("c", 64 * M + 1, 148 * M, 148 * M),
    ],
    "smaller blocks are split as ever": [
        ("a", 40 * M, 40 * M, 40 * M),
        ("-a", 0, 0, 40 * M),
        ("b", 20 * M, 20 * M, 40 * M),
        ("c", 20 * M, 40 * M, 40 * M),
    ],
}
EIGHTHS: list[Step] = [
    ("a", 4096, 4096, 2 * M),  # not above 8 · 512
    ("b", 4097, 4096 + 4608, 2 * M),
    ("c", 4 * M + 1, 8704 + 4 * M + 512 * K, 22 * M),
    ("d", 6 * M, 8704 + 10 * M + 512 * K, 22 * M),
]


def run(allocator: Allocator, steps: Sequence[Step]) -> None:
    taken: dict[str, Block | None] = {}
    for name, size, allocated, reserved in steps:
        if name == "empty":
            allocator.empty_cache()
        elif name.startswith("-"):
            if block := taken.pop(name[1:]):
                allocator.free(block)
        else:
            name, _, stream = name.partition("@")
            taken[name] = allocator.malloc(int(size), int(stream or 0))
        assert (allocator.allocated, allocator.reserved) == (allocated, reserved), name


@pytest.mark.parametrize("name", VECTORS)
def test_the_vectors(name: str) -> None:
    allocator = Allocator(
        Settings(
            max_split_bytes=64 * M if name.startswith("8 ") else None,
            roundup_power2_divisions=4 if name.startswith("12 ") else 0,
        ),
        capacity=100 * M if name.startswith("9 ") else None,
    )
    run(allocator, VECTORS[name])
    assert allocator.retries == (1 if name.startswith("9 ") else 0)


@pytest.mark.parametrize("name", BY_HAND)
def test_by_hand(name: str) -> None:
    run(Allocator(), BY_HAND[name])


@pytest.mark.parametrize("name", OVERSIZE)
def test_oversize_by_hand(name: str) -> None:
    run(Allocator(Settings(max_split_bytes=64 * M)), OVERSIZE[name])


def test_rounding_to_eighths_by_hand() -> None:
    run(Allocator(Settings(roundup_power2_divisions=8)), EIGHTHS)


def test_a_refusal_releases_whole_cached_segments_alone() -> None:
    allocator = Allocator(capacity=60 * M)
    steps: list[Step] = [
        ("a", 6 * M, 6 * M, 20 * M),
        ("b", 6 * M, 12 * M, 20 * M),
        ("-a", 0, 6 * M, 20 * M),
        ("c", 30 * M, 36 * M, 50 * M),
        ("-c", 0, 6 * M, 50 * M),
        ("d", 40 * M, 46 * M, 60 * M),  # c's segment went back, a's place is half of one
    ]
    run(allocator, steps)
    assert allocator.retries == 1


def test_without_room_it_says_so_and_nothing_has_changed() -> None:
    allocator = Allocator(capacity=50 * M)
    run(allocator, [("a", 30 * M, 30 * M, 30 * M)])
    with pytest.raises(OutOfDeviceMemoryError, match=r"31,457,280 bytes .* holds 31,457,280, 31,457,280 of"):
        allocator.malloc(30 * M)
    run(allocator, [("b", 20 * M, 50 * M, 50 * M)])


@pytest.mark.parametrize(
    "steps",
    [
        [  # no free block of 60 MiB: the largest go, until it would do
            ("a", 40 * M, 40 * M, 40 * M),
            ("b", 50 * M, 90 * M, 90 * M),
            ("-a", 0, 50 * M, 90 * M),
            ("-b", 0, 0, 90 * M),
            ("c", 60 * M, 60 * M, 60 * M),
        ],
        [  # a free block of 70 MiB is too large for 45 to take, and large enough to go
            ("a", 70 * M, 70 * M, 70 * M),
            ("b", 20 * M, 90 * M, 90 * M),
            ("-a", 0, 20 * M, 90 * M),
            ("c", 45 * M, 66 * M, 66 * M),
        ],
        [  # the largest alone do, the other is kept
            ("a", 42 * M, 42 * M, 42 * M),
            ("b", 50 * M, 92 * M, 92 * M),
            ("-a", 0, 50 * M, 92 * M),
            ("-b", 0, 0, 92 * M),
            ("c@1", 48 * M, 48 * M, 48 * M),  # of another stream: none of its own are free, all are released
        ],
    ],
)
def test_a_refusal_releases_oversize_blocks_first(steps: list[Step]) -> None:
    allocator = Allocator(Settings(max_split_bytes=40 * M), capacity=100 * M)
    run(allocator, steps)
    assert allocator.retries == (1 if steps[-1][0] == "c@1" else 0)


SIZES = st.one_of(
    st.integers(0, 4 * K),
    st.integers(0, 2 * M),
    st.integers(M, 24 * M),
    st.integers(0, 60).map(lambda n: n * M),
)
REQUESTS = st.lists(st.tuples(SIZES, st.integers(0, 1), st.integers(0, 5)), max_size=40)
"""Bytes and stream of each request, and which of the live ones is freed after it, where there are so many."""
SETTINGS = st.builds(
    Settings,
    max_split_bytes=st.sampled_from([None, 21 * M, 40 * M]),
    roundup_power2_divisions=st.sampled_from([0, 4, 16]),
)


def blocks_of(requests: Sequence[tuple[int, int, int]], allocator: Allocator) -> list[Block]:
    """Run the requests; check what holds after each; return what lives."""
    live: list[tuple[int, Block]] = []
    for size, stream, freed in requests:
        if block := allocator.malloc(size, stream):
            live.append((size, block))
        else:
            assert size == 0
        if freed < len(live):
            allocator.free(live.pop(freed)[1])
        assert allocator.allocated == sum(block.size for _, block in live)
        assert allocator.reserved >= allocator.allocated >= sum(size for size, _ in live)
        assert allocator.peak_reserved >= allocator.reserved
        in_order = sorted((block for _, block in live), key=lambda block: block.address)
        for left, right in pairwise(in_order):
            assert left.address + left.size <= right.address
    return [block for _, block in live]


@given(REQUESTS, SETTINGS)
def test_blocks_never_overlap_and_what_is_all_freed_can_all_go_back(
    requests: list[tuple[int, int, int]], settings: Settings
) -> None:
    allocator = Allocator(settings)
    live = blocks_of(requests, allocator)
    for block in live:
        allocator.free(block)
    assert allocator.allocated == 0
    whole = allocator.reserved
    assert whole == allocator.peak_reserved  # nothing goes back by itself
    allocator.empty_cache()
    assert allocator.reserved == 0  # every segment was one block again
    allocator.reset_peak()
    assert allocator.peak_reserved == 0


@given(REQUESTS, SETTINGS)
def test_a_replay_is_the_same_to_the_address(
    requests: list[tuple[int, int, int]], settings: Settings
) -> None:
    first, second = Allocator(settings), Allocator(settings)
    assert [(b.address, b.size) for b in blocks_of(requests, first)] == [
        (b.address, b.size) for b in blocks_of(requests, second)
    ]
    assert first.peak_reserved == second.peak_reserved


@given(st.integers(1, 60 * M))
def test_all_freed_serves_the_same_again_without_the_driver(size: int) -> None:
    allocator = Allocator()
    for _ in range(3):
        block = allocator.malloc(size)
        assert block
        reserved = allocator.reserved
        allocator.free(block)
    assert allocator.reserved == reserved == allocator.peak_reserved


class Maps(nn.Module):
    """Three maps in a row, each of which dies when the next is made."""

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(3):
            x = x.sin()
        return x


class Mixed(nn.Module):
    """A matrix product over the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(16, 16))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.weight @ x.flatten(2)[0]  # (C, H·W)
        return y.view_as(x)


HOPPER = Settings(cublas_workspace_bytes=CUBLAS_BYTES_HOPPER)
WITHOUT = Settings(cublas_workspace_bytes=0)


def test_a_pass_without_products() -> None:
    recorded = trace(Maps(), (1, 64, 256, 256))  # of 16 MiB: segments of their own
    assert recorded.given == (16 * M,)
    assert peak_reserved(recorded, Settings()) == 48 * M  # the input, and two maps at once
    assert peak_reserved(recorded, HOPPER) == 48 * M


@pytest.mark.parametrize(("settings", "reserved"), [(Settings(), 22), (HOPPER, 54), (WITHOUT, 22)])
def test_the_first_product_takes_a_workspace(settings: Settings, reserved: int) -> None:
    """Input and output of 4 MiB in 20, the workspace there too before Hopper; the weight in 2."""
    recorded = trace(Mixed(), (1, 16, 256, 256))
    assert recorded.given == (1024, 4 * M)
    assert peak_reserved(recorded, settings) == reserved * M


@pytest.mark.parametrize(("settings", "reserved"), [(Settings(), 42), (HOPPER, 86), (WITHOUT, 22)])
def test_the_backward_pass_takes_another(settings: Settings, reserved: int) -> None:
    """Input, upstream gradient, output and the input's gradient: 16 MiB of 20; weight and its gradient in 2.

    Before Hopper 16.25 MiB more, which with them takes a second segment of 20.
    """
    recorded = trace(Mixed(), (1, 16, 256, 256), mode="train")
    assert sorted(recorded.given) == [1024, 4 * M, 4 * M]
    assert peak_reserved(recorded, settings) == reserved * M


def remade(events: Sequence[tuple[int, int]]) -> Trace:
    recorded = trace(Maps(), (1, 1, 2, 2))
    return replace(recorded, given=(), events=tuple(MemoryEvent(0, *event) for event in events))


def test_a_storage_that_grows_is_there_twice_for_a_moment() -> None:
    assert peak_reserved(remade([(0, 8 * M), (0, 7 * M), (0, -15 * M)]), Settings()) == 36 * M  # 20 and 16
    assert peak_reserved(remade([(0, 15 * M), (0, -15 * M)]), Settings()) == 16 * M
    assert peak_reserved(remade([(0, 0), (1, 512), (0, 0), (1, -512)]), Settings()) == 2 * M


def test_the_measured_pass_is_the_second_after_the_cache_was_emptied() -> None:
    """The workspace stays in the segment of 30 MiB, which is then too small for what it was made for."""
    recorded = trace(Maps(), (1, 1, 2, 2))
    sizes = (30 * M, 512, 31 * M)
    events = [MemoryEvent(op, op, sign * size) for op, size in enumerate(sizes) for sign in (1, -1)]
    ops = [replace(recorded.ops[0], name=f"aten.{name}.default") for name in ("sin", "mm", "sin")]
    remade = replace(recorded, given=(), ops=tuple(ops), events=tuple(events))
    # 30, 2 for the small one, the workspace out of the 30, 32; emptied, 30; then 30, 2 and 32 beside it
    assert peak_reserved(remade, Settings()) == (30 + 30 + 2 + 32) * M
    assert peak_reserved(remade, WITHOUT) == (30 + 2 + 32) * M
    inside = [event._replace(storage=INSIDE) if event.storage == 0 else event for event in events]
    assert peak_reserved(replace(remade, events=tuple(inside)), WITHOUT) == (2 + 32) * M


def test_what_kernels_of_the_cpu_take_inside_is_not_replayed() -> None:
    """A fused layer takes 32.5 MiB for its hidden features inside one operation."""
    recorded = trace(Tokens(nn.TransformerEncoderLayer(64, 2, 8192, batch_first=True)), (1, 64, 32, 32))
    inside = [event.bytes for event in recorded.events if event.storage == INSIDE]
    assert max(inside) >= 1024 * (8192 + 2 * 64) * 4
    assert sum(inside) == 0
    outside = [event for event in recorded.events if event.storage != INSIDE]
    assert peak_reserved(recorded, WITHOUT) == peak_reserved(
        replace(recorded, events=tuple(outside)), WITHOUT
    )


@pytest.mark.parametrize("module", ["reconet", "se", "rcca", "pam"])
@pytest.mark.parametrize("mode", ["infer", "train"])
def test_of_built_ins_it_is_at_least_what_lives_and_the_same_each_time(module: str, mode: str) -> None:
    recorded = api.trace(module, (1, 64, 24, 20), mode=mode)  # type: ignore[arg-type]
    lives = sum(-(-size // 512) * 512 for size in recorded.given) + views.peak_bytes(recorded, 512)
    reserved = peak_reserved(recorded, WITHOUT)
    assert reserved == peak_reserved(recorded, WITHOUT) >= lives
    assert reserved % (2 * M) == 0


def test_settings_are_read_from_the_environment() -> None:
    assert settings_of({}, None) == settings_of({}, (8, 6)) == Settings()
    assert settings_of({}, (9, 0)) == settings_of({}, (12, 0)) == HOPPER
    read = settings_of({"CUBLAS_WORKSPACE_CONFIG": ":4096:2:16:8"}, (9, 0))
    assert read == Settings()
    assert settings_of({"CUBLAS_WORKSPACE_CONFIG": ":0:0"}, None) == WITHOUT
    assert settings_of({"CUBLAS_WORKSPACE_CONFIG": "none"}, (9, 0)) == HOPPER  # as torch, which warns
    options = "max_split_size_mb:64, roundup_power2_divisions:4,pinned_num_register_threads:8"
    for variable in ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"):
        assert settings_of({variable: options}, None) == Settings(64 * M, 4)
    both = {"PYTORCH_CUDA_ALLOC_CONF": "max_split_size_mb:30", "PYTORCH_ALLOC_CONF": ""}
    assert settings_of(both, None) == Settings()
    harmless = {"PYTORCH_ALLOC_CONF": "backend:native,expandable_segments:False"}
    assert settings_of(harmless, None) == Settings()


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        (
            "PYTORCH_NO_CUDA_MEMORY_CACHING",
            "0",
            "reserved memory stays 0",
        ),  # vector 11: presence alone is asked
        ("PYTORCH_ALLOC_CONF", "expandable_segments:True", "sets expandable_segments:True, which is not"),
        ("PYTORCH_CUDA_ALLOC_CONF", "backend:cudaMallocAsync", "sets backend:cudaMallocAsync"),
        ("PYTORCH_CUDA_ALLOC_CONF", "roundup_power2_divisions:[256:1,>:4]", r"\[256:1,>:4\], which is not"),
        ("PYTORCH_CUDA_ALLOC_CONF", "roundup_power2_divisions:3", "divisions:3"),
        ("PYTORCH_CUDA_ALLOC_CONF", "max_split_size_mb:64,garbage_collection_threshold:0.8", "threshold:0.8"),
    ],
)
def test_a_setting_that_is_not_simulated_is_named(variable: str, value: str, said: str) -> None:
    with pytest.raises(NotSimulatedError, match=said):
        settings_of({variable: value}, None)
