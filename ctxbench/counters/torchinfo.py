"""torchinfo: "mult-adds" of leaf modules with weights; executes the module, which meta tensors make free."""

from __future__ import annotations

from typing import Any

import torch

from ctxbench.counters import Build, Shape
from ctxbench.counters.answer import answer
from ctxbench.counters.common import lost_ops, quietly
from ctxbench.tracing import Trace


def count_macs(build: Build, shape: Shape, recorded: Trace) -> dict[str, Any]:
    """Mult-adds by torchinfo; ``missed`` ran outside every leaf module that holds weights."""
    with quietly():
        from torchinfo import summary

        with torch.device("meta"):
            module = build().eval()
        weighted = {path for path, part in module.named_modules() if [*part.parameters(recurse=False)]}
        macs = summary(module, input_size=shape, device="meta", verbose=0).total_mult_adds
        return answer(float(macs), lost_ops(recorded, lambda op: op.module in weighted))
