"""Fake tensors (shapes without data), a module made of them, and a run that leaves nothing behind."""

from __future__ import annotations

import contextlib
import copy
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
import torch._functorch.config
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeCopyMode,
    FakeTensorMode,
    unset_fake_temporarily,
)
from torch.nn.parameter import UninitializedBuffer, is_lazy

from ctxbench.errors import UserError

Subject = nn.Module | Callable[[], nn.Module]


class NeedsDataError(Exception):
    """Something was asked of a fake tensor that only its data could tell."""


DATA_DEPENDENT = (DataDependentOutputException, DynamicOutputShapeException, NeedsDataError)
"""What a module raises among fake tensors when it asks for a value."""


def fake_tensors() -> FakeTensorMode:
    """A mode in which every tensor is fake, and asking one for its address raises RuntimeError.

    Torch's own default hands out a null pointer, and native code that reads there ends the process.
    """
    with torch._functorch.config.patch(fake_tensor_allow_unsafe_data_ptr_access=False):
        return FakeTensorMode(allow_non_fake_inputs=True)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Run modules without a trace on this process: its random state, compiled parts and scripted ones.

    Dynamo would see that a dispatch mode is on, give up on each function it meets, and never compile it
    again; the executor of scripted modules would optimise for what it sees here. Both run plainly instead.
    What fails is raised, and not logged with its traceback as well.
    """
    optimize = torch._C._get_graph_executor_optimize()
    with (
        torch.random.fork_rng(devices=[]),
        torch.compiler.set_stance("force_eager"),
        warnings.catch_warnings(),
        _errors_raised_alone(),
    ):
        warnings.filterwarnings(
            "ignore", message="Using `torch.compile\\(module\\)` when there are global hooks"
        )
        torch._C._set_graph_executor_optimize(False)
        try:
            yield
        finally:
            torch._C._set_graph_executor_optimize(optimize)


@contextmanager
def _errors_raised_alone() -> Iterator[None]:
    """Keep torch from logging each failure of an operation on fake tensors, which is raised too."""
    logger = logging.getLogger("torch._subclasses.fake_tensor")

    def is_no_failure(record: logging.LogRecord) -> bool:
        return record.levelno < logging.WARNING

    logger.addFilter(is_no_failure)
    try:
        yield
    finally:
        logger.removeFilter(is_no_failure)


def fake_module(
    subject: Subject, fake: FakeTensorMode, shape: tuple[int, int, int, int] | None = None
) -> nn.Module:
    """The subject with fake weights: built so where it is a function, copied so where it is a module.

    A constructor that fails among fake tensors (it reads values, or makes lazy layers) is called for real,
    and what it builds is copied. ``shape`` (N, C, H, W) is for lazy layers: they take their sizes from it.
    """
    if not isinstance(subject, nn.Module):
        try:
            with fake:
                return subject()
        except UserError:
            raise
        except Exception:
            subject = subject()
    if is_uninitialised(subject):
        subject = _initialised(subject, shape)
    with FakeCopyMode(fake):
        return copy_module(subject)


def is_uninitialised(module: nn.Module) -> bool:
    """Whether it holds lazy layers that have met no input yet."""
    return any(map(is_lazy, (*module.parameters(), *module.buffers())))


def _initialised(module: nn.Module, shape: tuple[int, int, int, int] | None) -> nn.Module:
    """A copy whose lazy layers have met an input, on the meta device, where nothing is computed."""
    if shape is None:
        raise UserError("a module with lazy layers has no sizes before it has met an input")
    module = copy_module(module)
    for part in module.modules():  # module.to("meta") would forget which of them are lazy
        for tensors in (part._parameters, part._buffers):
            tensors.update({name: _on_meta(tensor) for name, tensor in tensors.items() if tensor is not None})
    with torch.no_grad():
        module(torch.empty(shape, device="meta"))
    return module


def _on_meta(tensor: Tensor) -> Any:
    if is_lazy(tensor):
        return type(tensor)(device="meta", dtype=tensor.dtype)  # type: ignore[call-arg]
    moved = tensor.detach().to("meta")
    return nn.Parameter(moved, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else moved


def copy_module(module: nn.Module) -> nn.Module:
    """A deep copy; what cannot be copied (a lock, an open file) is shared with the original."""
    with contextlib.suppress(Exception):
        return copy.deepcopy(module)
    memo: dict[int, Any] = {id(b): _fresh(b) for b in module.buffers() if isinstance(b, UninitializedBuffer)}
    torchs_own = vars(nn.Module())  # hooks among it, which lead back to the module
    for part in module.modules():
        own = [value for name, value in vars(part).items() if name not in torchs_own]
        for value in (*part._buffers.values(), *own):
            if id(value) not in memo:
                _share_if_uncopyable(value, memo)
    return copy.deepcopy(module, memo)


@contextmanager
def without_modes() -> Iterator[None]:
    """Real tensors on the CPU, whatever mode this process was in when it was forked."""
    with unset_fake_temporarily(), torch.device("cpu"):
        yield


def real_copy(module: nn.Module) -> nn.Module:
    """A deep copy of real tensors, whatever mode is on: a fake tensor holds nothing that could be copied."""
    with unset_fake_temporarily():
        return copy_module(module)


def _fresh(buffer: UninitializedBuffer) -> UninitializedBuffer:
    """Torch copies lazy parameters, and has forgotten lazy buffers."""
    return UninitializedBuffer(device=buffer.device, dtype=buffer.dtype)  # type: ignore[call-arg]


def _share_if_uncopyable(value: Any, memo: dict[int, Any]) -> None:
    if isinstance(value, torch.Generator):
        memo[id(value)] = value.clone_state()
        return
    try:
        copy.deepcopy(value, dict(memo))
    except Exception:  # whatever a user's object raises; torch cannot copy sparse tensors in rows
        memo[id(value)] = value.detach().clone() if isinstance(value, Tensor) else value


def convert(module: nn.Module, dtype: torch.dtype, memory_format: torch.memory_format) -> None:
    """``module.to`` for fake tensors, which torch cannot swap in place; tied weights stay tied.

    A scripted module hands out each weight as a new Python object, so weights are told apart by what torch
    holds, and kept alive meanwhile, lest the next one gets the same address.
    """
    done: dict[int, tuple[Tensor, Tensor]] = {}

    def converted(tensor: Tensor, is_parameter: bool) -> Tensor:
        if tensor._cdata not in done:
            new = _convert_one(tensor, dtype, memory_format)
            if is_parameter and new is not tensor:
                new = nn.Parameter(new, tensor.requires_grad)
            done[tensor._cdata] = tensor, new
        return done[tensor._cdata][1]

    for part in module.modules():
        for name, parameter in list(part._parameters.items()):
            if parameter is not None:
                part._parameters[name] = cast(nn.Parameter, converted(parameter, is_parameter=True))
        for name, buffer in list(part._buffers.items()):
            if buffer is not None:
                part._buffers[name] = converted(buffer, is_parameter=False)


def _convert_one(tensor: Tensor, dtype: torch.dtype, memory_format: torch.memory_format) -> Tensor:
    to = dtype if tensor.is_floating_point() else tensor.dtype
    is_laid_out = tensor.ndim != 4 or tensor.is_contiguous(memory_format=memory_format)
    if tensor.dtype == to and tensor.device.type == "cpu" and is_laid_out:
        return tensor
    if tensor.is_meta:  # shapes alone: lazy layers came from there
        new = torch.empty(tensor.shape, dtype=to)
    else:
        new = tensor.detach().to(device="cpu", dtype=to)
    return new.contiguous(memory_format=memory_format) if new.ndim == 4 else new
