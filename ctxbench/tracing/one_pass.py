"""One pass of a module under the recorder: forward, and in training backward."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge

from ctxbench.sandbox.fake import convert
from ctxbench.subject.interface import PLAIN, Given, Interface
from ctxbench.tracing.ops import Trace
from ctxbench.tracing.recorder import Recorder

CLONED = "its first layer works in place, which autograd forbids on its input: given a clone of it"
NO_HOOKS = (
    "torch.func allows no hooks on saved tensors: all that lived after the forward pass counts as saved"
)


@dataclass(frozen=True)
class Pass:
    """What is to be recorded: a map of ``shape`` (N, C, H, W), and how the module meets it."""

    shape: tuple[int, int, int, int]
    dtype: torch.dtype
    layout: Literal["contiguous", "channels_last"]
    mode: Literal["infer", "train"]
    interface: Interface = PLAIN
    threads: int = field(default_factory=torch.get_num_threads)
    """Of the process that asks, by which kernels are chosen; one that runs the pass may have fewer."""

    @property
    def train(self) -> bool:
        """Whether it is forward and backward in training mode."""
        return self.mode == "train"

    @property
    def memory_format(self) -> torch.memory_format:
        """The layout as torch names it."""
        return torch.channels_last if self.layout == "channels_last" else torch.contiguous_format


@dataclass
class Recording:
    """Runs passes of one module; ``recorder`` is the last one's, also where that pass failed."""

    module: nn.Module
    wanted: Pass
    recorder: Recorder | None = field(default=None, init=False)

    def run(self) -> Trace:
        """Prepare module and input and record the pass, in whatever mode of tensors is on.

        Where autograd refuses what it would not refuse inside a network (a first layer that works in place on
        the input, which is a leaf here alone), or torch.func refuses hooks, the pass is run once more so that
        it is not refused, and the trace's note says so.
        """
        wanted = self.wanted
        convert(self.module, wanted.dtype, wanted.memory_format)
        self.module.train(wanted.train)
        leaves = wanted.interface.given(self.module, wanted.shape, self._input)
        given, hooks = leaves, wanted.train
        notes: list[str] = []
        while True:
            try:
                return replace(self._run(leaves, given, hooks), note="; ".join(notes))
            except RuntimeError as error:
                if given is leaves and wanted.train and "leaf Variable that requires grad" in str(error):
                    given = leaves.replaced(torch.clone)
                    notes.append(CLONED)
                elif hooks and "saved tensor hooks" in str(error):
                    hooks = False
                    notes.append(NO_HOOKS)
                else:
                    raise

    def _input(self, shape: tuple[int, ...], is_map: bool) -> Tensor:
        x = torch.randn(shape, dtype=self.wanted.dtype)
        if is_map:
            x = x.contiguous(memory_format=self.wanted.memory_format)
        return x.requires_grad_(self.wanted.train)

    def _run(self, leaves: Given, given: Given, hooks: bool) -> Trace:
        """Run the module on ``given``, which are the ``leaves`` or clones of them."""
        module, wanted = self.module, self.wanted
        tensors = [*module.parameters(), *module.buffers(), *leaves.tensors, *given.tensors]
        recorder = Recorder(module, tensors, wanted.threads)
        self.recorder = recorder
        saved: dict[int, int] = {}
        with recorder.recording(hooks), torch.set_grad_enabled(wanted.train):
            y = wanted.interface.pick(module(*given.args, **given.kwargs))
            output_shape = tuple(y.shape)
            if wanted.train:
                upstream = torch.ones_like(y)
                recorder.memory.ignore(upstream)
                edge, output = get_gradient_edge(y), recorder.memory.number(y)
                del y  # autograd holds what it needs of the output; the recording must not hold more
                saved = recorder.memory.saved() if hooks else recorder.memory.alive()
                recorder.phase = "backward"
                torch.autograd.backward(edge, upstream)
                recorder.memory.revive(output)  # in a real pass the caller keeps it
        return Trace(
            shape=tuple(wanted.shape),
            output_shape=output_shape,
            dtype=str(wanted.dtype).removeprefix("torch."),
            layout=wanted.layout,
            mode=wanted.mode,
            params=sum(p.numel() for p in module.parameters()),
            ops=tuple(recorder.ops),
            events=tuple(recorder.memory.events),
            given=recorder.memory.given(),
            saved=saved,
            inside=recorder.inside,
        )
