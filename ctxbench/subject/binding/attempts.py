"""The trials of one block: what is tried, what failed, and how much time is left."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from ctxbench.subject.binding import layouts
from ctxbench.subject.binding.trial import Ran, Sizes, built, run
from ctxbench.subject.expression import SIZES
from ctxbench.subject.interface import Interface
from ctxbench.subject.resolve import Target

BUDGET_S = 10.0
"""CPU time of all trials of one block; those that succeed do so in the first three seconds."""
TRIED = (Exception, SystemExit)
"""What a stranger's constructor raises: one in four hundred calls exit()."""


@dataclass
class Search:
    """The trials of one block: ``given`` are the arguments the user gave, ``asked`` the interface, if any."""

    target: Target
    given: Mapping[str, Any]
    asked: Interface | None
    shape: tuple[int, int, int, int]
    """(N, C, H, W) of the map asked for."""
    until: float = field(default_factory=lambda: time.process_time() + BUDGET_S)
    failures: dict[str, BaseException] = field(default_factory=dict)
    """Input to what was raised with it, at the first combination of arguments that could be built."""
    failed_build: BaseException | None = None
    unknown_input: str = ""
    real: bool = False
    """Whether trials are computed, for blocks that fake tensors cannot run."""

    @property
    def is_over(self) -> bool:
        """Whether the time for trials is gone."""
        return time.process_time() > self.until

    def attempt(
        self, arguments: Mapping[str, Any], sizes: Sizes, inputs: Sequence[str] | None = None
    ) -> Ran | None:
        """Build with these arguments and try the inputs in turn: the first that gives a map, else any."""
        with suppress(*TRIED):
            return self.tried(arguments, sizes, inputs)
        return None

    def runs_as_asked(self, arguments: Mapping[str, Any], ran: Ran) -> bool:
        """Whether what ran at other sizes runs at the sizes asked for too."""
        sizes = dict(zip(SIZES, self.shape, strict=True))
        return self.real or self.attempt(arguments, sizes, [ran.interface.inputs]) is not None

    def tried(
        self, arguments: Mapping[str, Any], sizes: Sizes, inputs: Sequence[str] | None = None
    ) -> Ran | None:
        """As :meth:`attempt`; raises what the constructor raises."""
        try:
            block = built(self.target, {**self.given, **arguments}, sizes, real=self.real)
        except TRIED as error:
            self.failed_build = self.failed_build or error
            raise
        second: Ran | None = None
        first_failures = not self.failures
        for number, interface in enumerate(self._interfaces(block.module, inputs)):
            if number and self.is_over:  # but the likeliest is tried, however long a block takes to be built
                break
            try:
                ran = run(block, interface, sizes)
            except TRIED as error:
                if first_failures:
                    self.failures[interface.inputs] = error
                continue
            if ran.is_map or self.asked is not None:
                return ran
            second = second or ran
        return second

    def _interfaces(self, module: nn.Module, inputs: Sequence[str] | None) -> Iterator[Interface]:
        output = self.asked.output if self.asked else ""
        if inputs is None:
            if self.asked is not None and self.asked.inputs:
                inputs = [self.asked.inputs]
            else:
                try:
                    inputs = layouts.candidates(module)
                except layouts.Unknown as unknown:
                    self.unknown_input = str(unknown)
                    inputs = []
        for text in inputs:
            yield Interface(text, output)
