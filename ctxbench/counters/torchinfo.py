"""torchinfo: "mult-adds" of leaf modules with weights; executes the module, which meta tensors make free."""

from __future__ import annotations

from typing import Any

import torch

from ctxbench.counters import Build, Shape
from ctxbench.counters.answer import answer
from ctxbench.counters.common import called, lost_ops, quietly
from ctxbench.subject.interface import Interface
from ctxbench.tracing import Trace


def count_macs(build: Build, shape: Shape, recorded: Trace, interface: Interface) -> dict[str, Any]:
    """Mult-adds by torchinfo; ``missed`` ran outside every leaf module that holds weights."""
    with quietly():
        from torchinfo import summary

        with torch.device("meta"):
            module, tensors, before = called(build().to("meta"), shape, interface, "meta")
            module.eval()
        weighted = {path for path, part in module.named_modules() if [*part.parameters(recurse=False)]}
        macs = summary(module, input_data=tensors, device="meta", verbose=0).total_mult_adds
        return answer(
            float(macs), lost_ops(recorded, lambda op: f"{before}{op.module}".rstrip(".") in weighted)
        )
