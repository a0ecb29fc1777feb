"""How much of its columns a convolution of oneDNN unfolds at once, in a forward pass by products.

It looks for blocks of outputs, positions and inputs that stay in the second cache, by an estimate of how well
each choice uses threads, memory and arithmetic. It is restated here, since the scratch follows from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ctxbench.tracing.formulas.caches import cache_bytes

FLOATS = 16
"""In a register."""
FEWEST_OUTPUTS = 8
FULL_STEP = 3 * FLOATS
"""Positions that a step of the product takes at best."""
MISS = 20
"""How much dearer memory is beyond the cache."""
WEIGHTS_OF_TERMS = 21.5
"""The estimate is a geometric mean; this is the sum of its exponents."""


@dataclass(frozen=True)
class _Search:
    batch: int
    inputs: int
    outputs: int
    positions: int
    taps: int
    threads: int
    cache: int  # in floats

    def of(self, over_outputs: int, outputs: int, positions: int) -> tuple[float, tuple[int, int, int]]:
        """How good it is to take such blocks, and the blocks (outputs, positions, inputs) it comes to."""
        spatial, taps, cache = self.batch * self.positions, self.taps, self.cache
        over_positions = self.threads // over_outputs
        own_outputs, fewest = over(self.outputs, over_outputs), max(1, self.outputs // over_outputs)
        own_positions = over(spatial, over_positions)
        outputs = min(own_outputs, _within(FEWEST_OUTPUTS, own_outputs, outputs))
        here = min(self.positions, own_positions)
        positions = min(here, _within(FLOATS, own_positions, positions))

        column = taps * positions
        room = cache - outputs * positions
        if positions >= own_positions:
            inputs = cache // (positions + column)
            if outputs < own_outputs:
                inputs = min(inputs, int(room / (column + taps * outputs)))
        else:
            inputs = int(room / (positions + column + taps * own_outputs))
        if inputs < self.inputs:
            inputs = int(room / (positions + column + taps * own_outputs))
        access = MISS if inputs < 1 else 1
        inputs = max(1, self.inputs // over(self.inputs, max(1, inputs)))

        rounds = over(self.inputs, inputs)
        depth, whole_depth = inputs * taps, self.inputs * taps
        padded = up(positions, FLOATS)
        read = taps * self.inputs * up(own_positions, FLOATS)
        unfolded = 2 * read * (padded / positions)
        weights = own_outputs * up(whole_depth, FLOATS)
        written = own_outputs * up(own_positions, FLOATS) * (1 if rounds == 1 else 2 * rounds - 1)
        products = own_positions / FLOATS * own_outputs * whole_depth
        mean = (
            self._balance(over_outputs, own_outputs, fewest, own_positions) ** 8
            * (own_outputs / up(own_outputs, outputs))
            * (here / up(here, positions))
            * (self.inputs / up(self.inputs, inputs))
            * (positions / up(positions, FULL_STEP))
            * (products / (access * (read + unfolded + weights + written)))
            * (positions * outputs * depth / (own_outputs * own_positions * whole_depth)) ** 0.5
            * (positions / FLOATS * outputs * depth)
            / (padded * depth + outputs * up(depth, FLOATS) + outputs * padded)
        ) ** (1 / WEIGHTS_OF_TERMS)
        return mean, (outputs, positions, inputs)

    def _balance(self, over_outputs: int, most_outputs: int, fewest_outputs: int, most: int) -> float:
        """Work of the thread with the least, in parts of that with the most."""
        spatial = self.batch * self.positions
        slices = over(self.threads, over_outputs)
        odd_outputs, odd_threads = self.outputs % over_outputs, self.threads % over_outputs
        largest = max(most_outputs * over(spatial, slices), fewest_outputs * most)
        if odd_outputs > odd_threads:
            largest = most_outputs * most
        fewest = max(1, spatial // slices)
        smallest = min(most_outputs * fewest, fewest_outputs * (spatial // (self.threads // over_outputs)))
        if odd_threads > odd_outputs:
            smallest = fewest_outputs * fewest
        return smallest / largest

    def candidates(self, over_outputs: int) -> Iterator[tuple[int, int]]:
        """Blocks of outputs and positions to try for so many threads over outputs."""
        cache, inputs = self.cache, self.inputs
        most_outputs = over(self.outputs, over_outputs)
        most_positions = over(self.batch * self.positions, self.threads // over_outputs)
        each, fixed = 1 + self.taps, self.taps * most_outputs  # floats an input costs

        def fitting(of_inputs: int, of_outputs: int) -> int:
            return int((cache - fixed * of_inputs) / (each * of_inputs + of_outputs))

        room = cache - each * inputs * FLOATS - fixed * inputs
        outputs = _within(FEWEST_OUTPUTS, most_outputs, int(room / FLOATS))
        yield from _rounded(outputs, _within(FLOATS, most_positions, fitting(inputs, outputs)))

        most_inputs = max(1, cache // (2 * FEWEST_OUTPUTS * each + 2 * fixed))
        if most_inputs < inputs:
            part = inputs // max(1, inputs // most_inputs)
            positions = max(1, int((cache - 2 * fixed * part) / (2 * part * each)))
            outputs = cache // 2 // positions
            if outputs > most_outputs:
                outputs = most_outputs
                positions = _within(FLOATS, most_positions, fitting(part, outputs))
            elif positions > most_positions:
                positions = most_positions
                room = cache - each * part * positions - fixed * part
                outputs = _within(FEWEST_OUTPUTS, most_outputs, int(room / positions))
            yield from _rounded(outputs, positions)

        yield from _rounded(most_outputs, max(FLOATS, fitting(inputs, most_outputs) // FLOATS * FLOATS))


def _rounded(outputs: int, positions: int) -> Iterator[tuple[int, int]]:
    """Such blocks, and near ones that the product likes."""
    few, many = outputs // 8 * 8, up(outputs, 8)
    yield outputs, positions
    yield few, positions // FULL_STEP * FULL_STEP
    yield many, positions // FULL_STEP * FULL_STEP
    yield many, up(positions, FLOATS)
    yield many, up(positions, FULL_STEP)


def columns_at_once(batch: int, inputs: int, outputs: int, positions: int, side: int, threads: int) -> int:
    """Floats of columns that all threads hold, of a convolution of one group and stride 1."""
    taps, spatial = side**2, batch * positions
    if not (spatial >= threads * FLOATS or positions < batch or inputs * taps <= outputs / 20):
        return inputs * taps * positions
    search = _Search(batch, inputs, outputs, positions, taps, threads, cache_bytes(2) // 4)
    best, blocks = 0.0, (1, 1, inputs)
    for over_outputs in range(1, threads + 1):
        whole = over(outputs, over_outputs), over(spatial, threads // over_outputs)
        mean, found = search.of(over_outputs, *whole)
        if mean > best:
            best, blocks = mean, found
        if blocks == (*whole, inputs):
            continue
        for outs, places in search.candidates(over_outputs):
            mean, found = search.of(over_outputs, outs, places)
            if mean > best:
                best, blocks = mean, found
    return threads * blocks[2] * taps * blocks[1]


def over(number: int, by: int) -> int:
    """Divide and round up."""
    return -(-number // by)


def up(number: int, multiple: int) -> int:
    """Round up to a multiple."""
    return -(-number // multiple) * multiple


def _within(least: int, most: int, number: int) -> int:
    return max(least, min(most, number))
