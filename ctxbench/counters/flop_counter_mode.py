"""torch's own FlopCounterMode: FLOPs as 2·MACs, halved here; a dispatch mode, so fake tensors do."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from ctxbench.counters import Build, Shape
from ctxbench.counters.answer import answer
from ctxbench.counters.common import lost_ops, quietly
from ctxbench.sandbox.fake import fake_module, fake_tensors, undisturbed
from ctxbench.subject.interface import Interface
from ctxbench.tracing import Trace


def count_macs(build: Build, shape: Shape, recorded: Trace, interface: Interface) -> dict[str, Any]:
    """MACs by FlopCounterMode; ``missed`` have no formula in its registry."""
    known = {str(packet) for packet in flop_registry}
    fake = fake_tensors()
    with quietly(), undisturbed():
        module = fake_module(build, fake, shape)
        module.eval()  # which may return None
        with fake, FlopCounterMode(display=False) as counter:
            given = interface.given(module, shape, lambda sides, _: torch.empty(sides))
            module(*given.args, **given.kwargs)
        lost = lost_ops(recorded, lambda op: op.name.rpartition(".")[0] in known)
        return answer(counter.get_total_flops() / 2, lost)
