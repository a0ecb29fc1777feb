"""The convention behind Table 10 of the RecoNet paper: leaf modules only, and the last call wins.

Worked out from the printed digits. Only calls of leaf ``nn.Module`` are seen; tensor methods and functional
calls are invisible. A leaf called k times counts once, with its last call. FLOPs of a leaf:

=================== ====================================================================
Conv2d              MACs (not doubled), plus one per output element if it has a bias
BatchNorm2d         2 · numel
ReLU                numel
MaxPool2d/AvgPool2d numel of the input
MatMul              2 · batch · l · m · n, for a leaf class of that name
AdaptiveAvgPool2d   (k + 1) · numel(out); k = (W // s)² for a tuple output size, W // s for an integer
any other           0
=================== ====================================================================

Memory: the leaves' outputs without dimension 0, at 4 bytes an element; no weights, no input.
"""

from __future__ import annotations

from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.modules.module import register_module_forward_hook
from torch.utils._pytree import tree_leaves

from ctxbench.counters import Build, Shape
from ctxbench.tracing.record import DATA_DEPENDENT, fake_module


def leaf_flops(leaf: nn.Module, inputs: list[Tensor], out: Tensor) -> int:
    """FLOPs of one call of a leaf under the paper's convention."""
    if not inputs:
        return 0
    x = inputs[0]
    match leaf:
        case nn.Conv2d():
            per_element = prod(leaf.weight.shape[1:]) + (leaf.bias is not None)
            return int(out.numel() * per_element)
        case nn.BatchNorm2d():
            return 2 * x.numel()
        case nn.ReLU():
            return x.numel()
        case nn.MaxPool2d() | nn.AvgPool2d():
            return x.numel()
        case nn.AdaptiveAvgPool2d(output_size=int(s)):
            return (x.shape[-1] // s + 1) * out.numel()
        case nn.AdaptiveAvgPool2d():
            return ((x.shape[-1] // out.shape[-1]) ** 2 + 1) * out.numel()
        case _ if type(leaf).__name__ == "MatMul":
            return 2 * x.numel() * int(inputs[1].shape[-1])
    return 0


def count(build: Build, shape: Shape) -> dict[str, Any]:
    """Run the paper's counter over a module, without computing it unless its control flow depends on data.

    Returns ``gflops`` and ``mib`` (last call wins), ``every_call_gflops`` and ``every_call_mib``,
    ``repeated`` (leaf path to calls, where more than one) and ``leaves`` (path to [FLOPs, bytes]).
    """
    last: dict[str, tuple[int, int]] = {}
    calls: Counter[str] = Counter()
    total_flops = total_bytes = 0
    paths: dict[int, str] = {}

    def see(leaf: nn.Module, args: Any, kwargs: Any, out: Any) -> None:
        nonlocal total_flops, total_bytes
        if next(leaf.children(), None) is not None or not isinstance(out, Tensor) or id(leaf) not in paths:
            return
        inputs = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
        cost = leaf_flops(leaf, inputs, out), 4 * prod(out.shape[1:])
        last[paths[id(leaf)]] = cost
        calls[paths[id(leaf)]] += 1
        total_flops += cost[0]
        total_bytes += cost[1]

    def run(module: nn.Module, tensors: AbstractContextManager[Any]) -> None:
        paths.update({id(part): path for path, part in module.eval().named_modules()})
        with tensors, torch.no_grad():
            module(torch.empty(shape).normal_())

    hook = register_module_forward_hook(see, with_kwargs=True)
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    try:
        run(fake_module(build, fake), fake)
    except DATA_DEPENDENT:
        last.clear()
        calls.clear()
        total_flops = total_bytes = 0
        with torch.random.fork_rng(devices=[]):
            run(build(), nullcontext())
    finally:
        hook.remove()
    return {
        "gflops": sum(flops for flops, _ in last.values()) / 1e9,
        "mib": sum(size for _, size in last.values()) / 2**20,
        "every_call_gflops": total_flops / 1e9,
        "every_call_mib": total_bytes / 2**20,
        "repeated": {path: n for path, n in calls.items() if n > 1},
        "leaves": {path: list(cost) for path, cost in last.items()},
    }
