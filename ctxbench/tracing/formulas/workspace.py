"""Workspaces that operations return for the backward pass, and no fake kernel shows."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ctxbench.tracing.formulas.registry import base_name

PAGE = 4096
"""Bytes."""
LINE = 64
"""Bytes."""
STATE_GRADIENTS = 2 if torch.__version__ >= "2.11" else 4
"""Buffers of gradients of states that oneDNN keeps of an LSTM layer: 3.7, in torch 2.9 and 2.10, keeps twice
as many as 3.10 to 3.12 do."""


def with_workspace(func: Any, args: Sequence[Any], out: Any) -> Any:
    """The result of a fake kernel, with the workspace that the real one returns for the backward pass.

    An LSTM layer of oneDNN keeps one; its fake kernel returns an empty tensor in its place.
    """
    if base_name(func) != "mkldnn_rnn_layer" or not args[-1]:
        return out
    workspace = out[3]
    if workspace.numel():
        return out
    return (*out[:3], workspace.new_empty(_lstm_workspace(args[0], hidden=args[6].shape[-1])))


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
