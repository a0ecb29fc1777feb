"""The least time that a block's matrix products take on this machine, whoever calls them."""

import time
from collections import Counter
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor, nn

from ctxbench.tracing import trace
from ctxbench.tracing.ops import Op

ROUNDS = 3
BLOCK = 512
"""Rows of a product that are made at a time; quicker where the whole of it leaves the caches."""

Product = tuple[int, int, int, int]
"""Batch, rows, inner and columns: (b, m, k) by (b, k, n)."""


def clock() -> Callable[[], float]:
    """With one thread CPU time, which other work on the machine disturbs least; else the wall's."""
    return time.process_time if torch.get_num_threads() == 1 else time.perf_counter


def products(op: Op) -> list[Product]:
    """The matrix products that an operation is; none where it is another thing, as a 3×3 convolution."""
    if op.kind != "product":
        return []
    name = op.name.split(".")[1]
    if name in ("bmm", "mm", "baddbmm", "baddbmm_", "addmm"):
        a, b = op.inputs[-2:]
        return [(a[0] if len(a) == 3 else 1, a[-2], a[-1], b[-1])]
    if name == "convolution" and op.inputs[1][2:] == (1, 1):
        (batch, channels, height, width), (out, *_) = op.inputs[:2]
        return [(batch, out, channels, height * width)]
    if name.startswith("_scaled_dot_product"):
        batch, _, positions, width = op.inputs[0]
        return [(batch, positions, width, positions), (batch, positions, positions, width)]
    return []


def of(form: nn.Module, shape: tuple[int, int, int, int]) -> tuple[float, float]:
    """Seconds for the products of one forward pass, and the share of its multiplications that these are."""
    ops = trace(form, shape).ops
    wanted = Counter(product for op in ops for product in products(op))
    macs = sum(count * b * m * k * n for (b, m, k, n), count in wanted.items())
    total = sum(count * least(product) for product, count in wanted.items())
    return total, macs / max(1, sum(op.macs for op in ops))


def least(product: Product) -> float:
    """Seconds of one product: the best of four layouts, whole or in blocks of rows, into given memory."""
    batch, m, k, n = product
    ways: list[Callable[[], object]] = []
    for a in (torch.randn(batch, m, k), torch.randn(batch, k, m).mT):
        for b in (torch.randn(batch, k, n), torch.randn(batch, n, k).mT):
            ways.append(_whole(a, b))
            if m > BLOCK:
                ways.append(_in_blocks(a, b))
    return min(_seconds(way) for way in ways)


def _whole(a: Tensor, b: Tensor) -> Callable[[], object]:
    out = torch.empty(len(a), a.shape[1], b.shape[2])
    return lambda: torch.bmm(a, b, out=out)


def _in_blocks(a: Tensor, b: Tensor) -> Callable[[], object]:
    """The same, every block of rows into the same memory, as if what follows it took it at once."""
    rows = a.split(BLOCK, dim=1)
    outs = [torch.empty(len(a), part.shape[1], b.shape[2]) for part in (rows[0], rows[-1])]
    return lambda: [torch.bmm(part, b, out=outs[part is rows[-1]]) for part in rows]


def _seconds(way: Callable[[], object]) -> float:
    now = clock()
    way()
    times = []
    for _ in range(ROUNDS):
        began = now()
        way()
        times.append(now() - began)
    return median(times)
