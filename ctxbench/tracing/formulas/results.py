"""What operations return where fake kernels return something else: workspaces, storages, strides."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, unset_fake_temporarily

from ctxbench.tracing.formulas.registry import base_name

PAGE = 4096
"""Bytes."""
LINE = 64
"""Bytes."""
STATE_GRADIENTS = 2 if torch.__version__ >= "2.11" else 4
"""Buffers of gradients of states that oneDNN keeps of an LSTM layer: 3.7, in torch 2.9 and 2.10, keeps twice
as many as 3.10 to 3.12 do."""


def as_eager_returns(func: Any, args: Sequence[Any], out: Any) -> Any:
    """What an operation returns, where that of its fake kernel takes another memory."""
    match base_name(func):
        case "mkldnn_rnn_layer" if args[-1] and not out[3].numel():
            return (*out[:3], out[3].new_empty(_lstm_workspace(args[0], hidden=args[6].shape[-1])))
        case "col2im" if isinstance(out, FakeTensor):
            return _within(args[0], out)
        case "view" | "_unsafe_view" if out.ndim == 4 and 1 in out.shape and not args[0].is_contiguous():
            return _viewed(args[0], out) if isinstance(out, FakeTensor) else out
    return out


def _within(columns: Tensor, out: Tensor) -> Tensor:
    """The sum of columns is first allocated like them, and then shrunk, which gives no memory back."""
    storage = columns.new_empty(max(columns.numel(), out.numel()))
    return storage.as_strided(out.shape, out.stride())


def _viewed(x: Tensor, out: Tensor) -> Tensor:
    """Dimensions of length 1 have the strides that real views have: kernels tell memory formats by them."""
    with unset_fake_temporarily():
        strides = torch.empty_strided(x.shape, x.stride(), device="meta").view(out.shape).stride()
    return out if out.stride() == strides else x.as_strided(out.shape, strides, x.storage_offset())


def _lstm_workspace(x: Tensor, hidden: int) -> int:
    """Bytes oneDNN 3 keeps of one LSTM layer over ``x`` (T, N, I), each buffer on pages of its own.

    Gates and cell outputs of every step, then states and their gradients of T + 1 steps and two layers; rows
    are padded to cache lines. The gradients of states are float32 whatever the weights are.
    """
    (steps, batch, width), size = x.shape, x.element_size()
    state_rows = 2 * (steps + 1) * batch
    widest = max(width, hidden)
    buffers = [
        steps * batch * _row_bytes(4 * hidden, size),
        steps * batch * _row_bytes(hidden, size),
        state_rows * _row_bytes(widest, size),
        *[state_rows * _row_bytes(widest, 4)] * STATE_GRADIENTS,
        state_rows * hidden * size,
        state_rows * hidden * 4,
    ]
    return sum(-(-buffer // PAGE) * PAGE for buffer in buffers)


def _row_bytes(elements: int, size: int) -> int:
    """A row padded to whole cache lines, and by one more where rows would fall on the same cache sets."""
    per_line = LINE // size
    padded = -(-elements // per_line) * per_line
    return (padded + per_line if padded % 256 == 0 else padded) * size
