"""Formulas of convolutions, matrix products, fused attention and recurrent layers: MACs, element-wise."""

from math import prod

import torch
from torch import Tensor

from ctxbench.tracing.formulas.registry import Call, product


def _stored(x: Tensor) -> int:
    """Elements of a matrix that a product meets: of a sparse one, those it stores."""
    if x.layout == torch.sparse_coo:
        return int(x._nnz() * prod(x.shape[x.sparse_dim() :]))
    return x.numel() if x.layout == torch.strided else x.values().numel()


@product("mm bmm mv dot vdot _int_mm _scaled_mm _scaled_mm_v2")
def _matrix_product(call: Call) -> tuple[int, int]:
    """(…, M, K) · (…, K, N): M·K·N."""
    a, b = call.args[:2]
    if b.layout != torch.strided:  # dense times sparse: each stored element meets M rows
        return a.shape[-2] * _stored(b), 0
    return _stored(a) * (b.shape[-1] if b.ndim > 1 else 1), 0


@product("addmm baddbmm addbmm addmv _addmm_activation _sparse_addmm")
def _product_and_sum(call: Call) -> tuple[int, int]:
    """beta·input + a·b; the addition is element-wise."""
    _, a, b = call.args[:3]
    return _stored(a) * (b.shape[-1] if b.ndim > 1 else 1), call.out.numel()


@product("addr")
def _outer_product(call: Call) -> tuple[int, int]:
    return call["vec1"].numel() * call["vec2"].numel(), call.out.numel()


@product("convolution _convolution convolution_overrideable")
def _convolution(call: Call) -> tuple[int, int]:
    x, weight, bias = call.args[:3]
    return _convolution_macs(x, weight, call.out, call["transposed"]), 0 if bias is None else call.out.numel()


def _convolution_macs(x: Tensor, weight: Tensor, out: Tensor, transposed: bool) -> int:
    """Each output element (of a transposed convolution: input element) meets C/groups · kernel weights."""
    return int((x if transposed else out).numel() * prod(weight.shape[1:]))


@product("convolution_backward convolution_backward_overrideable")
def _convolution_backward(call: Call) -> tuple[int, int]:
    """As many MACs again for the gradient of the input, and of the weight, where they are asked for."""
    grad, x, weight = call.args[:3]
    mask = call["output_mask"]
    macs = _convolution_macs(x, weight, grad, call["transposed"]) * (int(mask[0]) + int(mask[1]))
    return macs, grad.numel() if mask[2] else 0


@product("linear")
def _linear(call: Call) -> tuple[int, int]:
    """Of x (…, I) with a weight (O, I): one MAC for each element of x and each output feature."""
    return call["input"].numel() * call["weight"].shape[0], 0 if call["bias"] is None else call.out.numel()


@product("linear_backward")
def _linear_backward(call: Call) -> tuple[int, int]:
    """The gradients of input and weight, as many MACs each as forward; nested tensors come here whole."""
    mask = call["output_mask"]
    macs = call["grad_output"].numel() * call["weight"].shape[1] * (int(mask[0]) + int(mask[1]))
    return macs, call["grad_output"].numel() if mask[2] else 0


@product("_trilinear")
def _trilinear(call: Call) -> tuple[int, int]:
    """A sum over three operands, two at a time, as ATen runs it: first and second, then third.

    Each operand lacks the dimensions in its ``expand`` list. What is summed and missing in the third operand
    is summed by the first product already.
    """
    operands = []
    for operand, missing in (("i1", "expand1"), ("i2", "expand2"), ("i3", "expand3")):
        shape = list(call[operand].shape)
        for dim in sorted(call[missing]):
            shape.insert(dim, 1)
        operands.append(shape)
    pair = [max(a, b) for a, b in zip(*operands[:2], strict=True)]
    summed_early = set(call["sumdim"]) & set(call["expand3"])
    left = [1 if dim in summed_early else size for dim, size in enumerate(pair)]
    return prod(pair) + prod(max(a, b) for a, b in zip(left, operands[2], strict=True)), 0


EUCLIDEAN_ROWS = 25
"""Above so many rows ATen takes Euclidean distances by a matrix product."""


def _by_product(call: Call) -> bool:
    rows = max(call["x1"].shape[-2], call["x2"].shape[-2])
    mode = call["compute_mode"] or 0
    return call["p"] == 2 and (mode == 1 or (mode == 0 and rows > EUCLIDEAN_ROWS))


@product("_euclidean_dist")
def _euclidean_distances(call: Call) -> tuple[int, int]:
    return _distances_by_product(call, *call.args[:2])


def _distances_by_product(call: Call, x1: Tensor, x2: Tensor) -> tuple[int, int]:
    """‖a‖² − 2·a·b + ‖b‖² as one product over C + 2 columns; then clamped, and the root taken."""
    pairs = call.out.numel()
    norms = 2 * (x1.numel() + x2.numel()) + x1.numel()  # squared and summed, and −2·x1
    return pairs * (x1.shape[-1] + 2), norms + 2 * pairs


@product("_cdist_forward")
def _distances(call: Call) -> tuple[int, int]:
    """Distances of rows (…, P, C) and (…, R, C); Euclidean ones of many rows by a product.

    Otherwise a difference, its power and a sum for each of P·R·C elements; one root for each of P·R.
    """
    if _by_product(call):
        return _distances_by_product(call, call["x1"], call["x2"])
    return 0, call.out.numel() * (3 * call["x1"].shape[-1] + 1)


@product(
    """
    _scaled_dot_product_flash_attention _scaled_dot_product_flash_attention_for_cpu
    _scaled_dot_product_efficient_attention _scaled_dot_product_cudnn_attention
    _scaled_dot_product_fused_attention_overrideable flex_attention
    """
)
def _attention(call: Call) -> tuple[int, int]:
    """Q·Kᵀ and P·V; five operations for each soft-max element and one for its scale."""
    query, key, value = call.args[:3]
    scores = prod(query.shape[:-1]) * key.shape[-2]
    return scores * (query.shape[-1] + value.shape[-1]), 6 * scores


@product(
    """
    _scaled_dot_product_flash_attention_backward _scaled_dot_product_flash_attention_for_cpu_backward
    _scaled_dot_product_efficient_attention_backward _scaled_dot_product_cudnn_attention_backward
    _scaled_dot_product_fused_attention_overrideable_backward
    """
)
def _attention_backward(call: Call) -> tuple[int, int]:
    """Recomputed Q·Kᵀ, then dQ, dK (E wide) and dV, dP (Eᵥ wide)."""
    _, query, key, value = call.args[:4]
    return _attention_gradients(query, key, value)


@product("flex_attention_backward")
def _flex_attention_backward(call: Call) -> tuple[int, int]:
    query, key, value = call.args[:3]
    return _attention_gradients(query, key, value)


def _attention_gradients(query: Tensor, key: Tensor, value: Tensor) -> tuple[int, int]:
    scores = prod(query.shape[:-1]) * key.shape[-2]
    return scores * (3 * query.shape[-1] + 2 * value.shape[-1]), 10 * scores


@product("_native_multi_head_attention")
def _multi_head_attention(call: Call) -> tuple[int, int]:
    query, key, value, width, heads = call.args[:5]
    return _heads(query, key, value, width, heads)


def _heads(query: Tensor, key: Tensor, value: Tensor, width: int, heads: int) -> tuple[int, int]:
    """Four projections C×C with biases, and attention of C/heads in each head."""
    batch, length = query.shape[:2]
    source = key.shape[1]
    tokens = batch * (2 * length + source + value.shape[1])
    scores = batch * heads * length * source
    return tokens * width * width + 2 * scores * (width // heads), 6 * scores + tokens * width


@product("_transformer_encoder_layer_fwd")
def _encoder_layer(call: Call) -> tuple[int, int]:
    src, width, heads = call.args[:3]
    macs, elementwise = _heads(src, src, src, width, heads)
    hidden = call["ffn_weight_1"].shape[0]
    tokens = prod(src.shape[:-1])
    per_token = 2 * (width + 8 * width) + 2 * hidden + width  # residuals and norms, activation and biases
    return macs + 2 * tokens * width * hidden, elementwise + tokens * per_token


def _lstm_step(call: Call) -> tuple[int, int]:
    """An LSTM layer over (T, N, I): both products of every step; sixteen per element of its state."""
    x, of_input, of_state = call.args[:3]
    steps = prod(x.shape[:-1])
    return steps * (of_input.numel() + of_state.numel()), 16 * steps * of_state.shape[-1]


@product("mkldnn_rnn_layer")
def _lstm(call: Call) -> tuple[int, int]:
    return _lstm_step(call)


@product("mkldnn_rnn_layer_backward")
def _lstm_backward(call: Call) -> tuple[int, int]:
    macs, elementwise = _lstm_step(call)
    return 2 * macs, 2 * elementwise
