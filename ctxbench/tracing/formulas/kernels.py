"""What PyTorch's own kernels on the CPU take inside a call: copies of operands, casts, and buffers.

N batch, C channels, T threads.
"""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor

from ctxbench.tracing.formulas.registry import Call, base_name
from ctxbench.tracing.formulas.taken import (
    FLOAT,
    HALVES,
    Taken,
    copied,
    kernel,
    outputs,
    size,
    suggested_format,
)

GRAIN = 32768
"""Elements that a thread is given at least."""
NUMBERS = {bool: torch.bool, int: torch.int64, float: torch.float64, complex: torch.complex128}
"""The type that a Python number has as a tensor."""


@kernel(
    """
    add sub mul div rsub remainder fmod floor_divide eq ne lt le gt ge
    maximum minimum pow addcmul addcdiv lerp where atan2 bitwise_and bitwise_or bitwise_xor
    """
)
def _pointwise(call: Call, threads: int) -> int:
    """Operands of another type than is computed in are cast whole; of two, a number is made a tensor."""
    name, operands = base_name(call._func), call.args[:3]
    if name == "where":
        operands = operands[1:]
    computed = call.out.dtype
    if name in ("eq", "ne", "lt", "le", "gt", "ge"):
        computed = torch.result_type(*operands)
    both = name not in ("pow", "addcmul", "addcdiv", "lerp", "where")
    return outputs(call) + sum(_cast(operand, computed, both) for operand in operands)


def _cast(operand: Any, computed: torch.dtype, number_too: bool) -> int:
    if isinstance(operand, Tensor):
        return operand.numel() * computed.itemsize if operand.dtype != computed else 0
    given = NUMBERS.get(type(operand)) if number_too else None
    if given is None:
        return 0
    return given.itemsize + (computed.itemsize if given != computed else 0)


@kernel("sum nansum")
def _sum(call: Call, threads: int) -> int:
    """An operand of another type than the sum's is cast whole; threads that share one sum have one each."""
    x, total = call.input, call.out
    cast = x.numel() if x.dtype != total.dtype else 0
    shared = threads if threads > 1 and total.numel() == 1 and x.numel() >= GRAIN else 0
    return outputs(call) + (cast + shared) * total.element_size()


@kernel("mean")
def _mean(call: Call, threads: int) -> int:
    """A sum, divided by a number; in half precision both are of a copy in float32."""
    x, mean = call.input, call.out
    if x.dtype not in HALVES:
        return outputs(call) + _cast(1.0, mean.dtype, number_too=True)
    return outputs(call) + FLOAT * (mean.numel() + x.numel())


@kernel("_softmax _log_softmax _softmax_backward_data _log_softmax_backward_data")
def _softmax(call: Call, threads: int) -> int:
    """Operands are made contiguous."""
    return outputs(call) + sum(copied(operand) for operand in call.args[:2] if isinstance(operand, Tensor))


@kernel("_safe_softmax")
def _safe_softmax(call: Call, threads: int) -> int:
    """A mask of what is excluded, and of the rows in which all is."""
    x = call.input
    rows = x.numel() // max(int(x.shape[call["dim"]]), 1)
    return outputs(call) + copied(x) + x.numel() + rows + FLOAT


@kernel("logsumexp")
def _logsumexp(call: Call, threads: int) -> int:
    """The exponentials, and their sum."""
    return 2 * outputs(call) + size(call.input)


@kernel("binary_cross_entropy_with_logits")
def _loss_with_logits(call: Call, threads: int) -> int:
    return outputs(call) + size(call.input)


@kernel("native_layer_norm")
def _layer_norm(call: Call, threads: int) -> int:
    return outputs(call) + copied(call.input)


@kernel("native_layer_norm_backward")
def _layer_norm_backward(call: Call, threads: int) -> int:
    """Each thread sums up gradients of weight and bias of its own."""
    gradient, x, shape = call.args[:3]
    sums = 2 * threads * prod(shape) * _statistic(x) if any(call["output_mask"][1:]) else 0
    return outputs(call) + copied(gradient) + copied(x) + sums


@kernel("native_group_norm_backward")
def _group_norm_backward(call: Call, threads: int) -> int:
    """Two sums for each channel of each image."""
    x: Tensor
    gradient, x = call.args[:2]
    wanted, sums = suggested_format(x), 2 * prod(x.shape[:2]) * _statistic(x)
    return outputs(call) + copied(gradient, wanted) + copied(x, wanted) + sums


@kernel("im2col")
def _unfold(call: Call, threads: int) -> int:
    """Columns are first allocated like the map."""
    return outputs(call) + size(call.input) + copied(call.input)


@kernel("col2im")
def _fold(call: Call, threads: int) -> int:
    return max(outputs(call), size(call.input)) + copied(call.input)


@kernel("_upsample_bilinear2d_aa _upsample_bicubic2d_aa")
def _antialiased(call: Call, threads: int) -> int:
    """The map resized along its width, before its height."""
    x, y = call.input, call.out
    return outputs(call) + size(x) // max(x.shape[3], 1) * y.shape[3]


@kernel("_cdist_forward _cdist_backward")
def _distances(call: Call, threads: int) -> int:
    return outputs(call) + copied(call["x1"]) + copied(call["x2"])


@kernel("abs")
def _abs(call: Call, threads: int) -> int:
    """Of complex numbers it is complex first."""
    x = call.input
    return outputs(call) + (size(x) if x.is_complex() else 0)


@kernel("_fft_c2r")
def _inverse_transform(call: Call, threads: int) -> int:
    """It destroys its operand, a copy therefore; of several axes the last comes after the others."""
    return outputs(call) + size(call.input) * min(len(call["dim"]), 2)


@kernel("mkldnn_rnn_layer mkldnn_rnn_layer_backward")
def _recurrent(call: Call, threads: int) -> Taken:
    return Taken(outputs(call), library="oneDNN's LSTM")


@kernel(
    "native_batch_norm _native_batch_norm_legit _batch_norm_with_update _native_batch_norm_legit_no_training"
)
def _batch_norm(call: Call, threads: int) -> int:
    """Two values a channel; of one position or with channels last a sum for each thread besides."""
    x = call.input
    values = 2
    if _by_batch_statistics(call) and _by_rows(x):
        values += threads
    return outputs(call) + values * x.shape[1] * _statistic(x)


def _by_rows(x: Tensor) -> bool:
    """Whether channels lie side by side, so that threads share positions."""
    return not x.is_contiguous() or prod(x.shape[2:]) == 1


def _statistic(x: Tensor) -> int:
    """Bytes of a channel's statistic: float32 in half precision."""
    return max(x.element_size(), FLOAT)


def _by_batch_statistics(call: Call) -> bool:
    training = next((argument for argument in call.args if isinstance(argument, bool)), False)
    return training or "with_update" in base_name(call._func)


@kernel("native_batch_norm_backward")
def _batch_norm_backward(call: Call, threads: int) -> int:
    """In one format the gradient is allocated twice; otherwise the sums of a channel are tensors."""
    x: Tensor
    gradient, x = call.args[:2]
    gradients = outputs(call)
    channels = x.shape[1] * _statistic(x)
    if not (suggested_format(gradient) == suggested_format(x) and _is_dense(gradient) and _is_dense(x)):
        return gradients + 3 * channels
    sums = 2 * threads if _by_rows(x) else 0
    return gradients + max(size(x), (sums + (not call["train"])) * channels)


def _is_dense(x: Tensor) -> bool:
    return x.is_contiguous(memory_format=suggested_format(x))


@kernel("_adaptive_avg_pool2d_backward upsample_bilinear2d_backward")
def _resize_backward(call: Call, threads: int) -> int:
    """In the gradient's format, which both gradients are copied to."""
    gradient, x_gradient = call.input, call.out
    wanted = suggested_format(gradient)
    return outputs(call) + copied(gradient, wanted) + copied(x_gradient, wanted)


VECTORISED_BELOW = 128
"""Sum of the sides of a resized map up to which it is resized with its channels last."""
TAP = 12
"""Bytes of an input's index and weight."""


@kernel("upsample_bilinear2d upsample_nearest2d _upsample_nearest_exact2d")
def _resize(call: Call, threads: int) -> int:
    """With channels last, which small maps are brought to; otherwise by a table of weights a side."""
    x, y = call.input, call.out
    last = torch.channels_last
    if sum(y.shape[2:]) <= VECTORISED_BELOW or (x.is_contiguous(memory_format=last) and x.shape[1] > 3):
        return outputs(call) + copied(x, last) + copied(y, last)
    taps = 2 if "bilinear" in base_name(call._func) else 1
    return outputs(call) + taps * TAP * sum(y.shape[2:])


@kernel("upsample_bicubic2d")
def _bicubic(call: Call, threads: int) -> int:
    return outputs(call) + 4 * TAP * sum(call.out.shape[2:])


@kernel("mm bmm addmm baddbmm mv addmv")
def _product(call: Call, threads: int) -> Taken | int:
    """An operand that is no matrix to BLAS, in rows or in columns, is copied; in a batch, one at a time."""
    operands = call.args[1:3] if base_name(call._func).startswith(("add", "badd")) else call.args[:2]
    matrices = [x for x in operands if x.ndim > 1]
    if call.out.dtype in HALVES:
        return Taken(outputs(call), library=f"oneDNN's {base_name(call._func)}")
    copies = sum(
        size(x) // (x.shape[0] if x.ndim == 3 else 1) for x in matrices if x.numel() and not _is_matrix(x)
    )
    return outputs(call) + copies


def _is_matrix(x: Tensor) -> bool:
    """Whether the last two dimensions are a matrix in rows or in columns, each after the end of the last."""
    (rows, columns), (down, across) = x.shape[-2:], x.stride()[-2:]
    return (across == 1 and down >= max(columns, 1)) or (down == 1 and across >= max(rows, 1))
