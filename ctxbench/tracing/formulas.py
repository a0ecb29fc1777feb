"""What one ATen operation costs: multiply–accumulates, and element-wise floating-point operations.

This is the one place where the conventions ``macs`` and ``flops`` are defined.

* **MACs** are counted for convolutions, matrix products and fused attention, every call, padding included;
  a causal mask saves nothing. A fused attention backward recomputes Q·Kᵀ and is counted with it.
* **Element-wise operations**: one per output element of a point-wise operation (a sigmoid is one), and
  for what is not point-wise the number in :data:`PER_INPUT`, :data:`PER_OUTPUT` or :data:`SPECIAL`.
  A bias inside a convolution or an ``addmm`` is one addition per output element.
* Moving data (views, copies, concatenation, indexing, creation, random numbers) costs no operation.

An operation found in none of the tables is *unknown*: it is listed by name and adds nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

Kind = Literal["product", "elementwise", "move", "view", "unknown"]


class Cost(NamedTuple):
    """MACs and element-wise operations of one call."""

    kind: Kind
    macs: int = 0
    elementwise: int = 0


Formula = Callable[[Sequence[Any], Any], tuple[int, int]]


def _mm(args: Sequence[Any], out: Any) -> tuple[int, int]:
    a, b = args[:2]
    return a.numel() * b.shape[-1] if b.ndim > 1 else a.numel(), 0


def _add_product(args: Sequence[Any], out: Any) -> tuple[int, int]:
    """addmm, baddbmm, addbmm, addmv: beta·input + a·b; the addition is element-wise."""
    _, a, b = args[:3]
    return a.numel() * (b.shape[-1] if b.ndim > 1 else 1), out.numel()


def _convolution(args: Sequence[Any], out: Any) -> tuple[int, int]:
    x, weight, bias = args[:3]
    transposed = args[6]
    return _convolution_macs(x, weight, out, transposed), out.numel() if bias is not None else 0


def _convolution_macs(x: Tensor, weight: Tensor, out: Tensor, transposed: bool) -> int:
    return int((x if transposed else out).numel() * prod(weight.shape[1:]))


def _convolution_backward(args: Sequence[Any], out: Any) -> tuple[int, int]:
    grad, x, weight = args[:3]
    transposed, mask = args[7], args[10]
    macs = _convolution_macs(x, weight, grad, transposed) * (int(mask[0]) + int(mask[1]))
    return macs, grad.numel() if mask[2] else 0


def _linear(args: Sequence[Any], out: Any) -> tuple[int, int]:
    x, weight = args[:2]
    bias = args[2] if len(args) > 2 else None
    return x.numel() * weight.shape[0], out.numel() if bias is not None else 0


def _attention(args: Sequence[Any], out: Any) -> tuple[int, int]:
    """Q·Kᵀ and P·V; five operations for each soft-max element and one for its scale."""
    query, key, value = args[:3]
    scores = prod(query.shape[:-1]) * key.shape[-2]
    return scores * (query.shape[-1] + value.shape[-1]), 6 * scores


def _attention_backward(args: Sequence[Any], out: Any) -> tuple[int, int]:
    """Recomputed Q·Kᵀ, then dQ, dK (E wide) and dV, dP (Eᵥ wide)."""
    _, query, key, value = args[:4]
    scores = prod(query.shape[:-1]) * key.shape[-2]
    return scores * (3 * query.shape[-1] + 2 * value.shape[-1]), 10 * scores


def _multi_head_attention(args: Sequence[Any], out: Any) -> tuple[int, int]:
    query, key, value, width, heads = args[:5]
    batch, length = query.shape[:2]
    source = key.shape[1]
    projections = (2 * length + key.shape[1] + value.shape[1]) * width * width
    scores = batch * heads * length * source
    biases = batch * (2 * length + key.shape[1] + value.shape[1]) * width
    return batch * projections + 2 * scores * (width // heads), 6 * scores + biases


def _encoder_layer(args: Sequence[Any], out: Any) -> tuple[int, int]:
    src, width, heads = args[:3]
    macs, elementwise = _multi_head_attention((src, src, src, width, heads), out)
    hidden = args[14].shape[0]
    tokens = prod(src.shape[:-1])
    per_token = 2 * (width + 8 * width) + 2 * hidden + width  # residuals and norms, activation and biases
    return macs + 2 * tokens * width * hidden, elementwise + tokens * per_token


def _lstm(args: Sequence[Any], out: Any) -> tuple[int, int]:
    """An LSTM layer over (T, N, I): both products of every step; sixteen per element of its state."""
    x, of_input, of_state = args[:3]
    steps = prod(x.shape[:-1])
    return steps * (of_input.numel() + of_state.numel()), 16 * steps * of_state.shape[-1]


def _lstm_backward(args: Sequence[Any], out: Any) -> tuple[int, int]:
    macs, elementwise = _lstm(args, out)
    return 2 * macs, 2 * elementwise


def _no_product(count: Callable[[Sequence[Any], Any], int]) -> Formula:
    return lambda args, out: (0, count(args, out))


def _region(size: int, parts: int) -> int:
    """Elements read along one axis by adaptive pooling: its regions overlap where ``parts`` ∤ ``size``."""
    return sum(-(-(i + 1) * size // parts) - i * size // parts for i in range(parts))


def _adaptive_pool(x: Tensor, pooled: Tensor) -> int:
    h, w = (_region(a, b) for a, b in zip(x.shape[-2:], pooled.shape[-2:], strict=True))
    return prod(x.shape[:-2]) * h * w


def _batch_norm(args: Sequence[Any], out: Any) -> int:
    """Training: mean 1, variance 3, scale and shift 2. Inference: scale and shift."""
    training = next((a for a in args if isinstance(a, bool)), False)  # the *_no_training form has no flag
    return int(args[0].numel()) * (6 if training else 2)


PRODUCTS: dict[str, Formula] = {
    **dict.fromkeys(("mm", "bmm", "mv", "dot", "vdot", "_int_mm"), _mm),
    **dict.fromkeys(("addmm", "baddbmm", "addbmm", "addmv", "_addmm_activation"), _add_product),
    **dict.fromkeys(("convolution", "_convolution", "convolution_overrideable"), _convolution),
    "convolution_backward": _convolution_backward,
    "linear": _linear,
    **dict.fromkeys(
        (
            "_scaled_dot_product_flash_attention",
            "_scaled_dot_product_flash_attention_for_cpu",
            "_scaled_dot_product_efficient_attention",
            "_scaled_dot_product_cudnn_attention",
            "_scaled_dot_product_fused_attention_overrideable",
        ),
        _attention,
    ),
    **dict.fromkeys(
        (
            "_scaled_dot_product_flash_attention_backward",
            "_scaled_dot_product_flash_attention_for_cpu_backward",
            "_scaled_dot_product_efficient_attention_backward",
            "_scaled_dot_product_cudnn_attention_backward",
            "_scaled_dot_product_fused_attention_overrideable_backward",
        ),
        _attention_backward,
    ),
    "_native_multi_head_attention": _multi_head_attention,
    "_transformer_encoder_layer_fwd": _encoder_layer,
    "mkldnn_rnn_layer": _lstm,
    "mkldnn_rnn_layer_backward": _lstm_backward,
}

PER_INPUT: dict[str, int] = {
    **dict.fromkeys(("sum", "mean", "amax", "amin", "max", "min", "argmax", "argmin", "prod", "aminmax"), 1),
    **dict.fromkeys(("any", "all", "count_nonzero", "cumsum", "cumprod", "logcumsumexp", "nansum"), 1),
    **dict.fromkeys(("norm", "linalg_vector_norm"), 2),
    **dict.fromkeys(("var", "var_mean", "std", "std_mean", "logsumexp"), 3),
    **dict.fromkeys(("_softmax", "_safe_softmax", "_log_softmax"), 5),
    **dict.fromkeys(("_softmax_backward_data", "_log_softmax_backward_data"), 4),
    **dict.fromkeys(("native_layer_norm", "native_group_norm"), 8),
    **dict.fromkeys(("native_batch_norm_backward", "batch_norm_backward", "cudnn_batch_norm_backward"), 9),
    **dict.fromkeys(("native_layer_norm_backward", "native_group_norm_backward"), 11),
    **dict.fromkeys(("col2im", "embedding_dense_backward"), 1),
    **dict.fromkeys(("adaptive_max_pool2d_backward", "upsample_bicubic2d_backward"), 1),
    **dict.fromkeys(("upsample_linear1d_backward",), 3),
    **dict.fromkeys(("upsample_bilinear2d_backward", "_upsample_bilinear2d_aa_backward"), 7),
}
"""Element-wise operations for each element of the first tensor argument."""

PER_OUTPUT: dict[str, int] = {
    **dict.fromkeys(("native_dropout", "_fused_dropout"), 2),
    "upsample_linear1d": 3,
    "upsample_bilinear2d": 7,
    "upsample_bicubic2d": 31,
    "upsample_trilinear3d": 15,
    "_adaptive_avg_pool2d_backward": 1,
    "max_pool2d_with_indices_backward": 1,
    "native_dropout_backward": 2,
    **dict.fromkeys(
        """
        hardswish leaky_relu _prelu_kernel glu log_sigmoid_forward rrelu_with_noise hardtanh_backward
        hardsigmoid_backward hardswish_backward leaky_relu_backward elu_backward softplus_backward
        softshrink_backward hardshrink_backward _prelu_kernel_backward glu_backward log_sigmoid_backward
        """.split(),  # noqa: SIM905
        1,
    ),
}
"""Element-wise operations for each element of the first output."""

SPECIAL: dict[str, Formula] = {
    "_adaptive_avg_pool2d": _no_product(lambda args, out: _adaptive_pool(args[0], out)),
    "adaptive_max_pool2d": _no_product(lambda args, out: _adaptive_pool(args[0], out)),
    **dict.fromkeys(
        ("avg_pool2d", "avg_pool3d", "max_pool2d_with_indices", "max_pool3d_with_indices"),
        _no_product(lambda args, out: out.numel() * prod(args[1])),
    ),
    **dict.fromkeys(
        ("avg_pool2d_backward", "avg_pool3d_backward"),
        _no_product(lambda args, out: args[0].numel() * prod(args[2])),
    ),
    **dict.fromkeys(("scatter_add", "index_add"), _no_product(lambda args, out: args[3].numel())),
    **dict.fromkeys(
        (
            "native_batch_norm",
            "_native_batch_norm_legit",
            "_native_batch_norm_legit_no_training",
            "_batch_norm_with_update",
            "cudnn_batch_norm",
        ),
        _no_product(_batch_norm),
    ),
}

MOVES = frozenset(
    """
    clone copy _to_copy contiguous cat stack index index_select gather index_put scatter constant_pad_nd
    reflection_pad2d replication_pad2d roll flip repeat im2col embedding slice_backward select_backward
    tril triu slice_scatter select_scatter _foreach_copy expand_copy permute_copy view_copy masked_fill
    where fill zero _reshape_copy pixel_shuffle pixel_unshuffle empty empty_like empty_strided new_empty
    new_empty_strided zeros zeros_like new_zeros ones ones_like new_ones full full_like new_full eye
    arange linspace rand rand_like randn randn_like randint randperm bernoulli uniform normal
    scalar_tensor upsample_nearest2d unbind_copy unfold_backward diagonal_backward diagonal_scatter
    one_hot upsample_nearest1d upsample_nearest3d _local_scalar_dense eq ne lt le gt ge logical_and
    logical_or logical_not isnan bitwise_and bitwise_or bitwise_not diag_embed
    """.split()  # noqa: SIM905
)
"""Data movement, creation, random numbers, comparisons: no floating-point operation."""

VIEWS = frozenset(
    """
    _unsafe_view detach alias lift_fresh lift _reshape_alias resize set unsafe_split transpose squeeze
    unsqueeze t swapaxes as_strided
    """.split()  # noqa: SIM905
)
"""Free operations that the schema does not mark as views."""


def cost(func: torch._ops.OpOverload, args: Sequence[Any], out: Any) -> Cost:
    """The cost of one call of an ATen overload, from its arguments and results.

    ``args`` are the positional arguments; ``out`` is what the call returned.
    """
    if func.is_view:
        return Cost("view")
    name = base_name(func)
    first = out[0] if isinstance(out, (tuple, list)) and out else out
    formula = PRODUCTS.get(name) or SPECIAL.get(name)
    if formula is not None:
        return Cost("product" if name in PRODUCTS else "elementwise", *formula(args, first))
    if name in VIEWS:
        return Cost("view")
    if name in MOVES:
        return Cost("move")
    if name in PER_INPUT:
        elements = next(a.numel() for a in args if isinstance(a, Tensor))
        return Cost("elementwise", elementwise=elements * PER_INPUT[name])
    if name in PER_OUTPUT:
        return Cost("elementwise", elementwise=first.numel() * PER_OUTPUT[name])
    if torch.Tag.pointwise in func.tags and isinstance(first, Tensor):
        return Cost("elementwise", elementwise=first.numel())
    return Cost("unknown")


def workspace_bytes(func: torch._ops.OpOverload, args: Sequence[Any]) -> int:
    """Bytes that a fused operation allocates and frees inside, before its output.

    Multi-head attention holds queries, keys and values beside its scores; an encoder layer then its hidden
    features. Workspaces of convolution and GEMM libraries are not known here.
    """
    match base_name(func):
        case "_native_multi_head_attention":
            query, key, _, width, heads = args[:5]
            hidden = 0
        case "_transformer_encoder_layer_fwd":
            query, width, heads = args[:3]
            key, hidden = query, args[14].shape[0]
        case _:
            return 0
    batch, length = query.shape[:2]
    attention = 3 * width + heads * int(key.shape[1])
    return int(batch * length * max(attention, hidden + 2 * width) * query.element_size())


def base_name(func: torch._ops.OpOverload) -> str:
    """The operation's name without namespace and overload; ``addmm_``, in place, is ``addmm``."""
    return func._schema.name.removeprefix("aten::").rstrip("_")
