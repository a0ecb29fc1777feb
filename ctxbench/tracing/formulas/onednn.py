"""What oneDNN takes for a convolution in float32, found by measuring on machines with AVX-512.

It runs a *direct* algorithm on copies of the operands in blocks of 16 channels, or a product of *columns*
(each image unfolded); with channels last it reads rows of channels in place. Which of them, and how it shares
the work among threads, follows its own choices, restated here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ctxbench.tracing.formulas.caches import cache_bytes
from ctxbench.tracing.formulas.columns import columns_at_once, over, up
from ctxbench.tracing.formulas.taken import FLOAT

BLOCK = 16
"""Channels that a register of AVX-512 holds."""
HALF_BLOCK = 8
SUMS = 28
"""Registers that a direct algorithm keeps sums in: a step takes as many positions of a row."""
ALIGNMENT = 128
"""Bytes that a scratch is larger by than what it holds."""
BARRIER = 8192 + ALIGNMENT
"""Bytes by which threads wait for each other, where they share a gradient of weights."""
PAGE = 4096
FEW = 3
"""Channels of a picture, which the gradient of weights reads as they are."""


@dataclass(frozen=True)
class Convolution:
    """Sizes of a convolution with a square kernel and stride 1, and how many threads share it.

    Of several groups each has its channels in whole blocks, or a single one.
    """

    batch: int
    inputs: int
    outputs: int
    height: int
    width: int
    out_height: int
    out_width: int
    side: int
    padding: int
    dilation: int
    groups: int
    bias: bool
    threads: int

    @property
    def x(self) -> int:
        """Bytes of the input."""
        return self.batch * self.inputs * self.height * self.width * FLOAT

    @property
    def y(self) -> int:
        """Bytes of the output."""
        return self.batch * self.outputs * self.positions * FLOAT

    @property
    def w(self) -> int:
        """Bytes of the weights."""
        return self.outputs * self.inputs // self.groups * self.taps * FLOAT

    @property
    def positions(self) -> int:
        """Of the output of one image."""
        return self.out_height * self.out_width

    @property
    def taps(self) -> int:
        """Elements of the kernel."""
        return self.side**2

    @property
    def extent(self) -> int:
        """Side of the dilated kernel."""
        return self.dilation * (self.side - 1) + 1

    @property
    def columns(self) -> int:
        """Bytes of one image unfolded."""
        return self.inputs * self.taps * self.positions * FLOAT

    @property
    def padded_bias(self) -> int:
        """Bytes of a bias in whole blocks, which is made where the outputs are not."""
        return up(self.outputs, BLOCK) * FLOAT + ALIGNMENT if self.bias and self.outputs % BLOCK else 0

    def x_blocks(self, block: int = BLOCK) -> int:
        """Bytes of the input in blocks of channels."""
        return self.x // self.inputs * up(self.inputs, block)

    def y_blocks(self, block: int = BLOCK) -> int:
        """Bytes of the output in blocks of channels."""
        return self.y // self.outputs * up(self.outputs, block)

    def w_blocks(self, block: int = BLOCK) -> int:
        """Bytes of the weights in blocks of channels both ways."""
        if self.groups > 1:
            return self.w
        return up(self.outputs, block) * up(self.inputs, block) * self.taps * FLOAT

    @property
    def pointwise(self) -> bool:
        """Whether the kernel has one element."""
        return self.side == 1

    @property
    def always_direct(self) -> bool:
        """Whether there is no choice of algorithm."""
        return self.pointwise or self.groups > 1

    def right_padding(self, positions: int) -> int:
        """How far the kernel reaches beyond the right border, at the last of so many positions of a row."""
        return max(0, positions - 1 + self.extent - self.width - self.padding)


def forward(c: Convolution) -> int:
    """The most at once, the output among it."""
    if not (c.always_direct or _forward_is_direct(c)):
        most = columns_at_once(c.batch, c.inputs, c.outputs, c.positions, c.side, c.threads)
        return c.y + max(FLOAT * most + ALIGNMENT, c.y)
    x, w = c.x_blocks(), c.w_blocks()
    if not c.pointwise and c.inputs < BLOCK:  # few channels are read as they are
        x, w = 0, c.inputs * up(c.outputs, BLOCK) * c.taps * FLOAT
    return max(c.padded_bias + x + w + c.y_blocks(), c.y_blocks() + c.y)


def input_gradient(c: Convolution) -> int:
    """The most at once, the gradient of the input among it."""
    if c.always_direct or _input_gradient_is_direct(c):
        return max(c.y_blocks() + c.w_blocks() + c.x_blocks(), c.x_blocks() + c.x)
    images = c.threads if _images_are_shared(c) else 1
    return c.x + max(c.x, images * c.columns + ALIGNMENT)


def weight_gradient(c: Convolution) -> int:
    """The most at once, the gradient of the weights among it."""
    picture, odd = not c.pointwise and c.inputs <= FEW, not c.pointwise and FEW < c.inputs < BLOCK
    if not c.always_direct and (not _weight_gradient_is_direct(c) or (odd and c.dilation > 1)):
        images = c.threads if c.positions // c.threads < 256 and c.batch > 1 else 1
        return c.w + max(c.w, images * (c.columns + FLOAT * c.w) + 2 * ALIGNMENT)
    if odd:
        return max(sum(part(HALF_BLOCK) for part in (c.x_blocks, c.y_blocks, c.w_blocks)), c.w_blocks() + c.w)
    x, w = c.x_blocks(), c.w_blocks()
    if picture:
        x, w = 0, c.inputs * up(c.outputs, BLOCK) * c.taps * FLOAT
    bias = c.padded_bias + c.outputs * FLOAT if c.bias else 0
    if c.bias and c.pointwise and c.outputs <= BLOCK and c.threads > 1 and c.batch > 1:
        bias += 3 * PAGE + BLOCK * FLOAT  # threads share the gradient of the bias too
    return bias + max(c.y_blocks() + x + w + _shared_sums(c, w), w + c.w)


def _shared_sums(c: Convolution, w: int) -> int:
    """Bytes of what threads that share a gradient of weights sum up into."""
    sharing = 1 if c.groups > 1 else _threads_over_batch(c)
    if sharing == 1:
        return 0
    bias = 0 if c.pointwise else up(c.outputs, BLOCK) * FLOAT
    return (sharing - 1) * (w + bias) + BARRIER


def rows_forward(c: Convolution, copied_weights: int) -> int:
    """With channels last: weights in blocks, and a buffer for each thread."""
    return copied_weights + c.y + c.w_blocks() + PAGE + c.threads * (PAGE + 24)


def rows_input_gradient(c: Convolution) -> int:
    """With channels last: weights the other way round, and a buffer for each thread."""
    weights = up(c.inputs, BLOCK) * c.outputs * c.taps * FLOAT
    return c.x + weights + PAGE + c.threads * (PAGE + 24) + ALIGNMENT


def rows_weight_gradient(c: Convolution) -> int:
    """With channels last: weights in blocks, or columns, beside the image turned over."""
    if c.pointwise or _weight_gradient_is_direct(c):
        return c.w_blocks() + max(_shared_sums(c, c.w_blocks()), 2 * c.w)
    images = c.threads if c.positions // c.threads < 256 and c.batch > 1 else 1
    return c.w + max(2 * c.w, images * (c.columns + FLOAT * c.w + c.x // c.batch) + 3 * ALIGNMENT)


def _forward_is_direct(c: Convolution) -> bool:
    """Whether padding does not reach beyond the positions that one step takes."""
    few, chunks = c.inputs < BLOCK, over(c.outputs, BLOCK)
    step = min(c.out_width, SUMS)
    one_chunk = (
        c.side > 3
        or (c.side == 3 and c.out_width <= SUMS and _small_kernel(c))
        or (c.batch == 1 and (step == c.out_width or few or (c.out_width <= 147 and c.outputs <= 96)))
    )
    if not one_chunk and not (few and c.batch == 1):
        step = min(c.out_width, 31 // (_divisor(chunks, 5) + 1))
    return max(c.padding, c.right_padding(c.out_width // step * step)) <= step


def _small_kernel(c: Convolution) -> bool:
    """Whether a row of inputs, of two blocks of outputs, and their weights stay in the first cache."""
    inputs = min(c.inputs, BLOCK)
    floats = c.width * inputs * c.side + 2 * BLOCK * (c.out_width + c.taps * inputs)
    exceptions = {13: 192, SUMS: 512}
    return FLOAT * floats < cache_bytes(1) and c.inputs < exceptions.get(c.out_width, c.inputs + 1)


def _input_gradient_is_direct(c: Convolution) -> bool:
    chunks = over(c.inputs, BLOCK)
    row = BLOCK * (2 * c.width * c.side + c.out_width + 2 * BLOCK * c.taps) * FLOAT
    fits = row <= cache_bytes(1)
    narrow = c.width <= 5 or 8 < c.width <= 13
    if c.side > 5 or (c.side == 5 and c.width >= 8) or (c.side < 5 and fits and not narrow):
        step = min(c.width, SUMS)
        two_chunks = c.side <= 3 and not (c.side == 3 and fits and c.out_width > 8)
        if two_chunks and chunks % 2 == 0:
            step = min(c.width, 31 // 3)
    else:
        step = min(c.width, 31 // (_divisor(chunks, 4) + 1))
    reach = c.dilation * (c.side - 1)
    right = c.out_width - 1 + c.extent - c.width - c.padding
    left_over, right_over = reach - c.padding, reach - max(0, right + c.width % step)
    return max(left_over, right_over, 0) <= step


def _weight_gradient_is_direct(c: Convolution) -> bool:
    if c.dilation > 1 and c.extent > c.height:
        return False
    return (
        c.padding <= c.extent // 2 and max(c.padding, c.right_padding(c.out_width)) <= SUMS and c.side <= 14
    )


def _divisor(number: int, most: int) -> int:
    return max(part for part in range(1, most + 1) if number % part == 0)


def _images_are_shared(c: Convolution) -> bool:
    """Whether each thread unfolds an image of its own, in the gradient of the input by columns."""
    if c.batch == 1 or not (c.positions // c.threads < 512 or c.taps < 64):
        return False
    tiles = over(c.height * c.width, BLOCK) * over(c.inputs, BLOCK)
    balance = c.batch / up(c.batch, c.threads), tiles / up(tiles, c.threads)
    small = c.height * c.width * c.inputs * c.outputs // c.threads < 64 * 1024
    return balance[0] >= balance[1] or small


def _threads_over_batch(c: Convolution) -> int:
    """How many threads share the gradient of a weight, each summing over its part of the batch or of rows.

    The least memory read and written, among the ways to split batch, outputs and inputs; of a kernel with
    more elements than one then the least work, where that costs at most a tenth more memory.
    """
    ins, outs = over(c.inputs, BLOCK), over(c.outputs, BLOCK)
    in_block = c.inputs if not c.pointwise and c.inputs <= FEW else BLOCK
    by_rows = not c.pointwise and c.dilation == 1 and c.out_height > 8
    parts = c.batch * (c.positions // BLOCK if c.pointwise else c.out_height // 8 if by_rows else 1)
    in_rows, in_row = (
        (c.batch * c.height, c.width) if by_rows or c.pointwise else (c.batch, c.height * c.width)
    )
    out_rows, out_row = (
        (c.batch * c.out_height, c.out_width) if by_rows or c.pointwise else (c.batch, c.positions)
    )

    def memory(split: tuple[int, int, int]) -> int:
        over_batch, over_outs, over_ins = split
        inputs = over(in_rows, over_batch) * over(ins, over_ins) * in_block * in_row
        outputs = over(out_rows, over_batch) * over(outs, over_outs) * BLOCK * out_row
        weights = over(outs, over_outs) * over(ins, over_ins) * c.taps * in_block * BLOCK
        return inputs + outputs + (12 if c.pointwise else 8) * weights

    def work(split: tuple[int, int, int]) -> int:
        return over(out_rows, split[0]) * over(outs, split[1]) * over(ins, split[2])

    splits = list(_splits(c.threads, max(parts, c.batch), outs, ins))
    best = (1, 1, 1)
    for split in splits:
        if memory(split) <= memory(best):
            best = split
    if not c.pointwise:
        least = memory(best)
        for split in splits:
            cheap = work(split) <= work(best) and memory(split) < 1.1 * least
            if cheap or 4 * work(split) <= 3 * work(best):
                best = split
    if c.threads / 2 < best[0] < c.threads:
        return min(c.batch if c.pointwise else max(parts, c.batch), c.threads)
    return best[0]


def _splits(threads: int, parts: int, outs: int, ins: int) -> Iterator[tuple[int, int, int]]:
    """How threads can be split over batch, outputs and inputs."""
    for over_batch in range(1, min(threads, parts) + 1):
        for over_outs in range(1, min(threads // over_batch, outs) + 1):
            yield over_batch, over_outs, min(threads // over_batch // over_outs, ins)
