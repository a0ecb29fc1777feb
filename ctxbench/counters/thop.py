"""thop: MACs of the leaf modules it has a rule for; executes the module, which meta tensors make free."""

from __future__ import annotations

from typing import Any

import torch

from ctxbench.counters import Build, Shape
from ctxbench.counters.answer import answer
from ctxbench.counters.common import called, lost_ops, quietly
from ctxbench.subject.interface import Interface
from ctxbench.tracing import Trace


def count_macs(build: Build, shape: Shape, recorded: Trace, interface: Interface) -> dict[str, Any]:
    """MACs by thop; ``missed`` ran outside every module type that thop has a rule for."""
    with quietly():
        from thop import profile
        from thop.profile import register_hooks

        with torch.device("meta"):
            module, tensors, before = called(build().to("meta"), shape, interface, "meta")
        rules = {kind for kind, rule in register_hooks.items() if rule.__name__ != "zero_ops"}
        ruled = {path for path, part in module.named_modules() if type(part) in rules}
        macs, _ = profile(module, tensors, verbose=False)
        return answer(macs, lost_ops(recorded, lambda op: f"{before}{op.module}".rstrip(".") in ruled))
