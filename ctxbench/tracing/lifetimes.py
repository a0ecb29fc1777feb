"""Births and deaths of storages, followed by weak references while operations run."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from ctxbench.sandbox.fake import NeedsDataError
from ctxbench.tracing.ops import INSIDE, MemoryEvent


def parts(tensor: Tensor) -> tuple[Tensor, ...]:
    """The dense tensors that hold a tensor's data: itself, or the indices and values of a sparse one.

    Raises NeedsDataError for a sparse tensor that is fake: how many elements it stores is data.
    """
    if tensor.layout != torch.strided and isinstance(tensor, FakeTensor):
        raise NeedsDataError("a sparse tensor's size depends on its data")
    if tensor.layout == torch.sparse_coo:
        return tensor._indices(), tensor._values()
    if tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        return tensor.crow_indices(), tensor.col_indices(), tensor.values()
    if tensor.layout in (torch.sparse_csc, torch.sparse_bsc):
        return tensor.ccol_indices(), tensor.row_indices(), tensor.values()
    if tensor.layout == torch._mkldnn:  # type: ignore[attr-defined]
        return ()
    return (tensor,)


def tensor_bytes(tensor: Tensor) -> int:
    """Bytes of the distinct elements: an expanded dimension is read once."""
    return sum(map(_dense_bytes, parts(tensor)))


def _dense_bytes(tensor: Tensor) -> int:
    if tensor.is_nested:
        return tensor.numel() * tensor.element_size()
    count = tensor.element_size()
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        count *= size if stride != 0 or size == 0 else 1
    return min(count, tensor.untyped_storage().nbytes())


@dataclass
class _Storage:
    number: int
    size: int
    watch: weakref.ref[Any]


class Lifetimes:
    """The storages that operations made, numbered in order of birth. ``given`` ones were there before."""

    def __init__(self, given: Iterable[Tensor]) -> None:
        self.events: list[MemoryEvent] = []
        self.op = -1
        """Number of the operation that is running."""
        self._given = {p.untyped_storage()._cdata: p.untyped_storage() for t in given for p in parts(t)}
        self._live: dict[int, _Storage] = {}  # by address
        self._packed: dict[int, int] = {}  # number to bytes
        self._born = 0

    def _event(self, number: int, size: int) -> None:
        self.events.append(MemoryEvent(self.op, number, size))

    def given(self) -> tuple[int, ...]:
        """Bytes of each storage that was there before."""
        return tuple(storage.nbytes() for storage in self._given.values())

    def accept(self, tensor: Tensor) -> None:
        """A storage that no operation made was there before: an attribute of the module that is no buffer."""
        for part in parts(tensor):
            storage = part.untyped_storage()
            if storage._cdata not in self._live:
                self._given[storage._cdata] = storage

    def inside(self, size: int) -> None:
        """The most that the running operation has at once before it returns, outputs among it."""
        self._event(INSIDE, size)
        self._event(INSIDE, -size)

    def follow(self, tensor: Tensor) -> None:
        """Note the birth of a storage, or that it was resized, and watch for its death."""
        for part in parts(tensor):
            self._follow(part.untyped_storage())

    def _follow(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._given:
            return
        if live := self._live.get(key):
            if size != live.size:
                self._event(live.number, size - live.size)
                live.size = size
            return

        def died(_: Any) -> None:
            dead = self._live.pop(key)
            self._event(dead.number, -dead.size)

        self._live[key] = _Storage(self._born, size, weakref.ref(storage, died))
        self._event(self._born, size)
        self._born += 1

    def pack(self, tensor: Tensor) -> Tensor:
        """Autograd saves this tensor for the backward pass: a hook for saved_tensors_hooks."""
        for part in parts(tensor):
            if live := self._live.get(part.untyped_storage()._cdata):
                self._packed[live.number] = live.size
        return tensor

    def saved(self) -> dict[int, int]:
        """What autograd saved and still holds, number to bytes. A module's own attributes are not in it."""
        alive = self.alive()
        return {number: size for number, size in self._packed.items() if number in alive}

    def alive(self) -> dict[int, int]:
        """Every storage that lives now, number to bytes, whoever holds it."""
        return {storage.number: storage.size for storage in self._live.values()}

    def ignore(self, tensor: Tensor) -> None:
        """Take a storage that the measurement itself made out of the timeline."""
        storage = tensor.untyped_storage()
        number = self._live.pop(storage._cdata).number
        self._given[storage._cdata] = storage
        self.events = [event for event in self.events if event.storage != number]

    def peak(self) -> int:
        """Most bytes that were alive at once so far."""
        return max(accumulate(event.bytes for event in self.events), default=0)

    def number(self, tensor: Tensor) -> int | None:
        """The number of a tensor's storage; None where no operation made it."""
        live = self._live.get(tensor.untyped_storage()._cdata)
        return live.number if live else None

    def revive(self, number: int | None) -> None:
        """Take back the death of a storage that the measurement itself dropped."""
        self.events = [event for event in self.events if event.storage != number or event.bytes > 0]
