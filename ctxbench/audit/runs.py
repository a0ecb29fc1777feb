"""The runs that a printed number may be of: the block as asked for, and each single deviation from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod
from typing import Any

from ctxbench.audit.counting.aspects import ITEM_BYTES, Seen, of_leaves
from ctxbench.audit.counting.parts import held
from ctxbench.audit.counting.tools import EVERY_CALL, LAST_CALL, OPERATIONS
from ctxbench.audit.counting.work import Watched, last_calls, of_operations
from ctxbench.counters import Shape
from ctxbench.subject import bind, resolve
from ctxbench.subject.bind import build_case
from ctxbench.subject.bound import Binding
from ctxbench.subject.case import Case
from ctxbench.subject.interface import Interface
from ctxbench.subject.presets import presets
from ctxbench.tracing import trace_case

BATCHES = (2, 4, 8)
"""How many times as many a paper may have in its batch."""


@dataclass(frozen=True)
class Run:
    """A module in one configuration, form and shape (N, C, H, W); ``words`` is what tells it from others."""

    module: str
    shape: Shape
    form: str
    options: Mapping[str, Any] = field(default_factory=dict)
    words: str = ""
    deviations: int = 1
    binding: Binding | None = None
    part: str = ""
    """The first name of the paths of the part that alone is counted; after a ``-``, that is left out."""

    @property
    def key(self) -> str:
        """What is the same for runs that look the same."""
        return f"{self.module} {self.shape} {self.form} {dict(self.options)} {self.binding} {self.part}"

    @property
    def case(self) -> Case:
        """What is built and run: in float32, forward alone."""
        batch, channels, height, width = self.shape
        return Case(
            self.module, channels, height, width, self.options, self.form, batch, binding=self.binding
        )

    def at(self, size: tuple[int, int], deviations: int) -> Run:
        """It on an input of another size, (H, W)."""
        words = f"input {size[0]}×{size[1]}"
        return replace(self, shape=(*self.shape[:2], *size), words=words, deviations=deviations)

    def seen_by_view(self, *, training: bool) -> dict[str, Seen]:
        """What this run looks like in each view. Two views that see the same are given once.

        Memory that no counter adds up (peaks, what is saved) is the same in every view; that of training
        is known where ``training`` is asked for. Raises UserError where the module does not run.
        """
        watched = Watched(partial(build_case, self.case))
        infer = trace_case(self.case, subject=watched)
        leaves = watched.calls
        traces = (infer, trace_case(self.case, "train")) if training else (infer,)
        seen = Seen(
            calls=of_operations(infer, watched.linear),
            input_bytes=ITEM_BYTES * prod(self.shape),
            parameters=watched.parameters,
            parameters_by_part=watched.parameters_by_part,
            held=held(traces),
            traces=traces if training else (),
        )
        views_seen = {OPERATIONS: seen, EVERY_CALL: of_leaves(seen, leaves)}
        if len(last := last_calls(leaves)) < len(leaves):
            views_seen[LAST_CALL] = of_leaves(seen, last)
        repeats = LAST_CALL in views_seen
        return {view: replace(seen, view=view, repeats=repeats) for view, seen in views_seen.items()}


def runs(
    module: str, shape: Shape, options: Mapping[str, Any], asked: Interface | None = None
) -> Iterator[Run]:
    """The published form with ``options``, and every single deviation.

    Deviations: the fast form, a side longer or shorter by one (a 513×513 image has 65×65 features, not
    64×64), a batch of several, and where no options are given, the configurations that presets have of it.
    """
    forms = bind.implementations(module)
    binding = None if bind.is_built_in(module) else bind.bound(module, options, asked, shape)
    call = resolve.parts(module).call
    words = f"the {forms[-1]} form{f' of {resolve.label(module)}' if call else ''}{_with_options(options)}"
    base = Run(module, shape, forms[-1], options, words, deviations=0, binding=binding)
    yield base
    batch, channels, height, width = shape
    if len(forms) > 1:
        yield replace(base, form=forms[0], words=f"the {forms[0]} form", deviations=1)
    for step in (1, -1):
        if min(height, width) + step > 0:
            yield base.at((height + step, width + step), 1)
    for times in BATCHES:
        shape = (batch * times, channels, height, width)
        yield replace(base, shape=shape, words=f"batch {batch * times}", deviations=1)
    for configuration, preset in _configurations(module, channels) if not options else ():
        words = f"as in the preset {preset}:{_with_options(configuration)}"
        yield replace(base, options=configuration, words=words, deviations=1)


def _configurations(module: str, channels: int) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Options under which presets have a module, other than its defaults, each with the preset's name."""
    defaults = bind.options(module)
    for preset in presets().values():
        for row in preset.rows:
            if row.module == module:
                own = row.options(channels)
                if own != {key: defaults[key] for key in own}:
                    yield own, preset.name
                if row.rule_options:
                    yield {**own, **row.rule_options}, preset.name


def _with_options(options: Mapping[str, Any]) -> str:
    return " with " + ", ".join(f"{key}={value}" for key, value in options.items()) if options else ""
