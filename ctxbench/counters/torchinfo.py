"""torchinfo: "mult-adds" of leaf modules with weights; executes the module, which meta tensors make free."""

from __future__ import annotations

from typing import Any

import torch

from ctxbench.counters import Build, Shape
from ctxbench.counters.common import lost_ops, quietly, result
from ctxbench.tracing import trace


def count_macs(build: Build, shape: Shape) -> dict[str, Any]:
    """Mult-adds by torchinfo; ``missed`` ran outside every leaf module that holds weights."""
    with quietly():
        from torchinfo import summary

        with torch.device("meta"):
            module = build().eval()
        weighted = {path for path, part in module.named_modules() if [*part.parameters(recurse=False)]}
        macs = summary(module, input_size=shape, device="meta", verbose=0).total_mult_adds
        return result(float(macs), lost_ops(trace(build, shape), lambda op: op.module in weighted))
