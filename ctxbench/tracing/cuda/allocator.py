"""PyTorch's caching allocator on CUDA, without a device.

The rules are those of ``c10/cuda/CUDACachingAllocator.cpp``. A request is rounded up to blocks of 512 bytes
and takes the smallest cached block of its pool and stream that holds it; where there is none, the driver
gives a segment, of which the rest is cached. What is freed merges with its free neighbours and stays cached.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from typing import NamedTuple

from ctxbench.tracing.cuda.settings import MIB, Settings
from ctxbench.tracing.views import CUDA_BLOCK

SMALL = MIB
"""Bytes: the largest rounded request of the small pool; in the large one the most that is left unsplit."""
SMALL_SEGMENT = 2 * MIB
LARGE_SEGMENT = 20 * MIB
"""Bytes: the segment of a request below :data:`OWN_SEGMENT`; also by how much an oversize block may exceed
the oversize request that it is given to."""
OWN_SEGMENT = 10 * MIB
"""Bytes: a rounded request from here on gets a segment of its own, in steps of :data:`SEGMENT_STEP`."""
SEGMENT_STEP = 2 * MIB


class OutOfDeviceMemoryError(Exception):
    """The device has no room for a segment, even with everything released that is cached."""


class Pool(NamedTuple):
    """What a free block is looked for in: the small or the large pool, of one stream."""

    small: bool
    stream: int


@dataclass(eq=False)
class Block:
    """A piece of a segment. ``before`` and ``after`` are its neighbours in it, whether free or taken."""

    address: int
    size: int
    pool: Pool
    free: bool = False
    before: Block | None = field(default=None, repr=False)
    after: Block | None = field(default=None, repr=False)

    @property
    def is_segment(self) -> bool:
        """Whether it is a whole segment."""
        return self.before is None and self.after is None


class Allocator:
    """The caching allocator of one device. ``capacity`` is what the driver has, in bytes; None for no end.

    Segments get ascending addresses, which decide between free blocks of one size; a driver may order them
    otherwise.
    """

    def __init__(self, settings: Settings | None = None, capacity: int | None = None) -> None:
        self._settings = settings or Settings()
        self._capacity = capacity
        self._free: dict[Pool, list[tuple[int, int, Block]]] = {}  # size, address (no two alike), block
        self._end = 0
        self.allocated = 0
        """Bytes of the blocks that are taken."""
        self.reserved = 0
        """Bytes of the segments, taken or cached."""
        self.peak_reserved = 0
        """The most there was of those since :meth:`reset_peak`."""
        self.retries = 0
        """How often the cache was released because the driver had refused a segment."""

    def malloc(self, size: int, stream: int = 0) -> Block | None:
        """Take a block for ``size`` bytes; None for none. Raises OutOfDeviceMemoryError."""
        if size == 0:
            return None
        size = self._rounded(size)
        pool = Pool(size <= SMALL, stream)
        block = self._cached(pool, size) or self._new_segment(pool, size)
        if self._is_split(block, size):
            rest = Block(block.address + size, block.size - size, pool, before=block, after=block.after)
            if rest.after:
                rest.after.before = rest
            block.after, block.size = rest, size
            self._cache(rest)
        self.allocated += block.size
        return block

    def free(self, block: Block) -> None:
        """Give a block back to the cache, one with its free neighbours."""
        self.allocated -= block.size
        for neighbour in (block.before, block.after):
            if neighbour and neighbour.free:
                self._uncache(neighbour)
                block = _merged(neighbour, block) if neighbour is block.before else _merged(block, neighbour)
        self._cache(block)

    def empty_cache(self) -> None:
        """Give the segments back to the driver of which nothing is taken."""
        for free in self._free.values():
            for _, _, block in [*free]:
                if block.is_segment:
                    self._release(block)

    def reset_peak(self) -> None:
        """Forget the peak so far."""
        self.peak_reserved = self.reserved

    def _rounded(self, size: int) -> int:
        divisions = self._settings.roundup_power2_divisions
        step = CUDA_BLOCK
        if divisions > 1 and size > CUDA_BLOCK * divisions:
            step = (1 << (size.bit_length() - 1)) // divisions
        return -(-size // step) * step

    def _cached(self, pool: Pool, size: int) -> Block | None:
        """The best fit, taken out of the cache; None where there is none, or where that one is refused."""
        free = self._free.get(pool, [])
        place = bisect_left(free, (size,))
        if place == len(free):
            return None
        block, most = free[place][2], self._settings.max_split_bytes
        if most is not None and block.size >= (most if size < most else size + LARGE_SEGMENT):
            return None
        self._uncache(block)
        return block

    def _new_segment(self, pool: Pool, size: int) -> Block:
        """A segment of the driver's, for which the cache is released where it must be."""
        if pool.small:
            wanted = SMALL_SEGMENT
        elif size < OWN_SEGMENT:
            wanted = LARGE_SEGMENT
        else:
            wanted = -(-size // SEGMENT_STEP) * SEGMENT_STEP
        if not self._fits(wanted):
            self._release_oversize(pool, size)
        if not self._fits(wanted):
            self.empty_cache()
            self.retries += 1
        if not self._fits(wanted):
            raise OutOfDeviceMemoryError(
                f"{size:,} bytes need a segment of {wanted:,}; of {self._capacity:,} the allocator holds "
                f"{self.reserved:,}, {self.allocated:,} of them taken"
            )
        block = Block(self._end, wanted, pool)
        self._end += wanted
        self.reserved += wanted
        self.peak_reserved = max(self.peak_reserved, self.reserved)
        return block

    def _fits(self, segment: int) -> bool:
        return self._capacity is None or self.reserved + segment <= self._capacity

    def _release_oversize(self, pool: Pool, size: int) -> None:
        """Release one oversize block that is large enough, or else several, from the largest down."""
        most = self._settings.max_split_bytes
        if most is None:
            return
        needed = max(size, most)
        oversize = [block for _, _, block in self._free.get(pool, []) if block.size >= most]
        enough = next((block for block in oversize if block.size >= needed), None)
        for block in [enough] if enough else reversed(oversize):
            self._release(block)
            needed -= block.size
            if needed <= 0:
                break

    def _is_split(self, block: Block, size: int) -> bool:
        rest, most = block.size - size, self._settings.max_split_bytes
        if block.pool.small:
            return rest >= CUDA_BLOCK
        return rest > SMALL and (most is None or size < most)

    def _cache(self, block: Block) -> None:
        block.free = True
        insort(self._free.setdefault(block.pool, []), (block.size, block.address, block))

    def _uncache(self, block: Block) -> None:
        free = self._free[block.pool]
        del free[bisect_left(free, (block.size, block.address))]
        block.free = False

    def _release(self, block: Block) -> None:
        self._uncache(block)
        self.reserved -= block.size


def _merged(left: Block, right: Block) -> Block:
    """Two neighbours as one block, which is the left one."""
    left.size += right.size
    left.after = right.after
    if left.after:
        left.after.before = left
    return left
