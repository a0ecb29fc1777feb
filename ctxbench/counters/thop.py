"""thop: MACs of the leaf modules it has a rule for; executes the module, which meta tensors make free."""

from __future__ import annotations

from typing import Any

import torch

from ctxbench.counters import Build, Shape
from ctxbench.counters.answer import answer
from ctxbench.counters.common import lost_ops, quietly
from ctxbench.tracing import Trace


def count_macs(build: Build, shape: Shape, recorded: Trace) -> dict[str, Any]:
    """MACs by thop; ``missed`` ran outside every module type that thop has a rule for."""
    with quietly():
        from thop import profile
        from thop.profile import register_hooks

        with torch.device("meta"):
            module, x = build(), torch.empty(shape)
        rules = {kind for kind, rule in register_hooks.items() if rule.__name__ != "zero_ops"}
        ruled = {path for path, part in module.named_modules() if type(part) in rules}
        macs, _ = profile(module, (x,), verbose=False)
        return answer(macs, lost_ops(recorded, lambda op: op.module in ruled))
