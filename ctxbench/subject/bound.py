"""What was bound: which values a subject's arguments got, and how it is called. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ctxbench.subject.expression import SIZES, evaluate, is_expression, shown
from ctxbench.subject.interface import MAP, Interface, parse_inputs


@dataclass(frozen=True)
class Binding:
    """Constructor arguments that were found out, as expressions of N, C, H and W, and the interface.

    ``unused`` are those of them that change nothing: the block takes the number and ignores it.
    """

    arguments: Mapping[str, Any] = field(default_factory=dict)
    inputs: str = MAP
    output: str = ""
    unused: tuple[str, ...] = ()

    @property
    def interface(self) -> Interface:
        """How the block is called."""
        return Interface(self.inputs, self.output)

    @property
    def is_guess(self) -> bool:
        """Whether one input is given several times to a block that was told nothing of the map."""
        return not self.arguments and any(a.kind == "same" for a in parse_inputs(self.inputs))

    def said(self, shape: tuple[int, int, int, int]) -> str:
        """One line for a map of ``shape`` (N, C, H, W): ``bound: in_channels=512; input N (H W) C, H, W``."""
        sizes = dict(zip(SIZES, shape, strict=True))
        pairs = []
        for name, value in self.arguments.items():
            try:
                shown_value = evaluate(value[1:], sizes) if is_expression(value) else value
            except Exception:  # a name of the user's file, which is not at hand here
                shown_value = shown(value)
            if isinstance(shown_value, type):
                shown_value = shown(value)
            pairs.append(f"{name}={shown_value}" + (" (not used)" if name in self.unused else ""))
        return f"bound: {', '.join(pairs) or 'nothing'}; {self.interface}"


NOTHING_BOUND = Binding()
