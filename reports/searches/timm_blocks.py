"""Counts of timm's blocks beside those of torch's own counter, its hooks on saved tensors, and TorchScript.

``python reports/searches/timm_blocks.py timm_blocks.txt`` builds each block of the list, a constructor's call
and the layout of its input on each line, and checks three equalities on an input of 2×64×16×16:

macs      MACs of a forward pass are half of what FlopCounterMode counts in a real one
saved     saved activations are the bytes that saved_tensors_hooks sees alive after a real forward
scripted  torch.jit.script of the block, or torch.jit.trace where it cannot be scripted, has the same numbers

Prints a line for each that differs or that could not be tried, then the figures. Needs timm 1.0.31; beside a
CPU torch the operators of torchvision's compiled half are declared without a kernel, so that it imports.
"""

import copy
import importlib
import importlib.util
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "tracing"))
from test_saved import saved_by_hooks

from ctxbench.errors import UserError, in_one_line
from ctxbench.tracing import Trace, trace, views

SHAPE = (2, 64, 16, 16)


def declare_operators() -> torch.library.Library:
    """Declare what torchvision's Python half registers for, all that its compiled half would define."""
    library = torch.library.Library("torchvision", "DEF")
    spec = importlib.util.find_spec("torchvision")
    assert spec is not None
    assert spec.origin is not None
    text = "".join(file.read_text() for file in Path(spec.origin).parent.rglob("*.py"))
    for name in {*re.findall(r"ops\.torchvision\.(\w+)", text), *re.findall(r'torchvision::(\w+)"', text)}:
        library.define(f"{name}(...) -> ...")
    return library


class Maps(nn.Module):
    """A block of tokens, or of maps with the channels last, on maps."""

    def __init__(self, block: nn.Module, layout: str) -> None:
        super().__init__()
        self.block, self.layout = block, layout

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C', ., .), whatever the block returns."""
        if self.layout == "tokens":
            y = self.block(x.flatten(2).transpose(1, 2))  # (N, H·W, C)
        else:
            y = self.block(x.permute(0, 2, 3, 1)) if self.layout == "nhwc" else self.block(x)
        return y.reshape(x.shape[0], y.shape[-1], -1, 1)  # (N, C', ., 1)


def built(call: str, layout: str) -> nn.Module:
    """The block of a line, reproducibly."""
    place, _, arguments = call.partition("(")
    module, _, name = place.rpartition(".")
    names = {"GELU": nn.GELU}
    keywords = eval(f"dict({arguments}", names)
    torch.manual_seed(0)
    return Maps(getattr(importlib.import_module(f"timm.{module}"), name)(**keywords), layout)


def numbers(recorded: Trace) -> list[int]:
    """What must be equal for two forms of one block."""
    counts = [
        count(recorded, phase) for count in (views.macs, views.flops) for phase in ("forward", "backward")
    ]
    return [recorded.params, *counts, views.saved_bytes(recorded)]


def macs(block: nn.Module) -> str:
    """What differs, or nothing."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:  # CPU kernels are not in it
        copy.deepcopy(block).eval()(torch.randn(SHAPE))
    recorded = trace(block, SHAPE)
    ours, theirs = views.macs(recorded), counter.get_total_flops() // 2
    return (
        "" if ours == theirs else f"{ours} for {theirs}, lower bound of {recorded.lower_bound or 'nothing'}"
    )


def saved(block: nn.Module) -> str:
    """What differs, or nothing."""
    theirs = saved_by_hooks(copy.deepcopy(block), SHAPE)
    ours = views.saved_bytes(trace(block, SHAPE, mode="train"))
    return "" if ours == theirs else f"{ours} B for {theirs} B"


def scripted(block: nn.Module) -> str:
    """What differs, or nothing."""
    try:
        other = torch.jit.script(copy.deepcopy(block))
    except Exception:
        traced: Any = torch.jit.trace(copy.deepcopy(block).eval(), torch.randn(SHAPE), check_trace=False)
        other = traced
        if any(module.training for module in block.modules()):
            block = copy.deepcopy(block).eval()
    ours, plain = numbers(trace(other, SHAPE)), numbers(trace(block, SHAPE))
    return "" if ours == plain else f"{ours} for {plain}"


CHECKS: dict[str, Callable[[nn.Module], str]] = {"macs": macs, "saved": saved, "scripted": scripted}


def main() -> None:
    """Try every line of the list."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    kept = declare_operators()
    lines = [line for line in Path(sys.argv[1]).read_text().splitlines() if line and line[0] != "#"]
    figures: dict[str, Counter[str]] = {name: Counter() for name in CHECKS}
    for line in lines:
        call, layout = line.split("|")
        block = built(call, layout)
        for name, check in CHECKS.items():
            try:
                found = check(block)
                result = "different" if found else "equal"
            except (UserError, Exception) as error:
                found, result = in_one_line(error), "not tried"
            figures[name][result] += 1
            if found:
                print(f"{call} {layout} {name}: {result}: {found}", flush=True)
    for name, counts in figures.items():
        print(
            f"{name}: {', '.join(f'{counts[result]} {result}' for result in sorted(counts))} of {len(lines)}"
        )
    del kept


if __name__ == "__main__":
    main()
