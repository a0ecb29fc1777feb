"""The leaf rule: leaf modules only, and the last call wins. Papers have printed numbers by it.

Worked out from printed digits. Only calls of leaf ``nn.Module`` are seen; tensor methods and functional
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

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from math import prod
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from ctxbench.counters import Build, Shape
from ctxbench.sandbox.fake import fake_module, fake_tensors, undisturbed
from ctxbench.subject.interface import PLAIN, Interface
from ctxbench.tracing.count import reason_of

T = TypeVar("T")
See = Callable[[str, nn.Module, list[Tensor], Tensor], T]
"""Makes something of one call of a leaf: its path, the leaf, the tensors it took and the one it returned."""


def leaf_flops(leaf: nn.Module, inputs: list[Tensor], out: Tensor) -> int:
    """FLOPs of one call of a leaf under the rule."""
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


def count(build: Build, shape: Shape, interface: Interface = PLAIN) -> dict[str, Any]:
    """Run the rule over a module, without computing it unless it fails on fake tensors.

    Returns ``gflops`` and ``mib`` (last call wins), ``every_call_gflops`` and ``every_call_mib``,
    ``repeated`` (leaf path to calls, where more than one) and ``leaves`` (path to [FLOPs, bytes]).
    """
    calls: dict[str, list[tuple[int, int]]] = {}
    for path, cost in _leaf_costs(build, shape, interface):
        calls.setdefault(path, []).append(cost)
    last = {path: costs[-1] for path, costs in calls.items()}
    every = [cost for costs in calls.values() for cost in costs]
    return {
        "gflops": sum(flops for flops, _ in last.values()) / 1e9,
        "mib": sum(size for _, size in last.values()) / 2**20,
        "every_call_gflops": sum(flops for flops, _ in every) / 1e9,
        "every_call_mib": sum(size for _, size in every) / 2**20,
        "repeated": {path: len(costs) for path, costs in calls.items() if len(costs) > 1},
        "leaves": {path: list(cost) for path, cost in last.items()},
    }


def answered(build: Build, shape: Shape, interface: Interface = PLAIN) -> dict[str, Any]:
    """What :func:`count` returns, or a ``reason`` why there is none."""
    try:
        return count(build, shape, interface)
    except (Exception, SystemExit) as error:  # a user's module may raise anything at all
        return {"reason": reason_of(error)}


def _cost(path: str, leaf: nn.Module, inputs: list[Tensor], out: Tensor) -> tuple[str, tuple[int, int]]:
    return path, (leaf_flops(leaf, inputs, out), 4 * prod(out.shape[1:]))


def _leaf_costs(build: Build, shape: Shape, interface: Interface) -> list[tuple[str, tuple[int, int]]]:
    """Path, FLOPs and bytes of each call of a leaf module that returns a tensor, in a pass in eval mode."""
    fake = fake_tensors()
    with undisturbed():
        try:
            return _hooked(fake_module(build, fake, shape), shape, interface, fake)
        except Exception:  # it reads data, goes through numpy, or an operation has no fake kernel
            return _hooked(build(), shape, interface, nullcontext())


def _hooked(
    module: nn.Module, shape: Shape, interface: Interface, tensors: AbstractContextManager[Any]
) -> list[tuple[str, tuple[int, int]]]:
    """Run a module that is ours to hook."""
    seen: list[tuple[str, tuple[int, int]]] = []
    module.eval()
    watch_leaves(module, _cost, seen)
    with tensors, torch.no_grad():
        given = interface.given(module, shape, lambda sides, _: torch.empty(sides).normal_())
        module(*given.args, **given.kwargs)
    return seen


def watch_leaves(module: nn.Module, see: See[T], seen: list[T]) -> None:
    """Hook every leaf of a module, so that ``seen`` gets what ``see`` makes of each of its calls."""

    def hook(path: str, leaf: nn.Module, args: Any, kwargs: Any, out: Any) -> None:
        if isinstance(out, Tensor):
            inputs = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
            seen.append(see(path, leaf, inputs, out))

    for path, leaf in module.named_modules():
        if next(leaf.children(), None) is None:
            leaf.register_forward_hook(partial(hook, path), with_kwargs=True)
