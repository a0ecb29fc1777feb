"""What fused attention takes inside a call on the CPU.

L and S positions of queries and keys, E and Eᵥ widths of heads, T threads.
"""

from math import prod

from torch import Tensor

from ctxbench.tracing.formulas.registry import Call
from ctxbench.tracing.formulas.taken import FLOAT, HALVES, Taken, copied, kernel, outputs, size

KEYS_AT_ONCE = 512


def _tile(positions: int) -> int:
    """Queries that fused attention takes at once."""
    return 256 if positions >= 768 else 64 if positions >= 192 else 32


@kernel("_scaled_dot_product_flash_attention_for_cpu")
def _attention(call: Call, threads: int) -> Taken | int:
    """For each thread the scores of a tile, its maxima and sums, and its share of the output."""
    query, key, value = call.args[:3]
    rows, columns = _tile(query.shape[-2]), min(KEYS_AT_ONCE, key.shape[-2])
    floats = threads * rows * (columns + 2 + value.shape[-1])
    most = outputs(call) + FLOAT * floats
    return Taken(most, library="the packing of attention") if query.dtype in HALVES else most


@kernel("_scaled_dot_product_flash_attention_for_cpu_backward")
def _attention_backward(call: Call, threads: int) -> Taken | int:
    """For each thread two tiles of scores; sums of rows; a copy of the gradient, heads side by side."""
    gradient, query, key = call.args[:3]
    rows, columns = _tile(query.shape[-2]), min(KEYS_AT_ONCE, key.shape[-2])
    floats = rows * (2 * threads * columns + 1)
    most = outputs(call) + copied(gradient.transpose(1, 2)) + FLOAT * floats
    return Taken(most, library="the packing of attention") if query.dtype in HALVES else most


@kernel("_native_multi_head_attention")
def _multi_head_attention(call: Call, threads: int) -> int:
    """Queries, keys and values beside their scores."""
    query, key, _, width, heads = call.args[:5]
    return _heads(query, key, width, heads, hidden=0)


@kernel("_transformer_encoder_layer_fwd")
def _encoder_layer(call: Call, threads: int) -> int:
    """As attention, of a normalised map where that comes first; then the hidden features."""
    query, width, heads = call.args[:3]
    most = _heads(query, query, width, heads, hidden=call["ffn_weight_1"].shape[0])
    return most + (size(query) if call["norm_first"] else 0)


def _heads(query: Tensor, key: Tensor, width: int, heads: int, hidden: int) -> int:
    attention = 3 * width + heads * key.shape[1]
    return prod(query.shape[:2]) * max(attention, hidden + 2 * width) * query.element_size()
