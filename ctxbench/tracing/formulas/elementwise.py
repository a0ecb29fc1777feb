"""Element-wise operations of what is not tagged point-wise: reductions, norms, pooling, resizing, sums.

A weighted sum of k values is 2·k − 1 operations: bilinear interpolation 7, bicubic 31, in both directions.
"""

from collections.abc import Sequence
from math import floor, log2, prod

import torch
from torch import Tensor

from ctxbench.tracing.formulas.registry import Call, elementwise, per_input, per_output

per_input(1, "sum mean amax amin max min argmax argmin prod aminmax any all count_nonzero nansum bincount")
per_input(
    1, "cumsum cumprod cummax cummin logcumsumexp _cummax_helper _cummin_helper histc hash_tensor trace"
)
per_input(2, "norm linalg_vector_norm")
per_input(3, "var var_mean std std_mean logsumexp dist renorm")
per_input(5, "_softmax _safe_softmax _log_softmax")
per_input(4, "_softmax_backward_data _log_softmax_backward_data")
per_input(8, "native_layer_norm native_group_norm")
per_input(11, "native_layer_norm_backward native_group_norm_backward")
per_input(9, "native_batch_norm_backward batch_norm_backward cudnn_batch_norm_backward")
per_input(4, "_fused_rms_norm")
per_input(8, "_fused_rms_norm_backward")

per_output(2, "native_dropout _fused_dropout native_dropout_backward")
per_output(3, "linalg_cross")
per_output(
    1,
    """
    hardswish leaky_relu _prelu_kernel glu log_sigmoid_forward rrelu_with_noise hardtanh_backward
    hardsigmoid_backward
    hardswish_backward leaky_relu_backward elu_backward softplus_backward softshrink_backward
    hardshrink_backward _prelu_kernel_backward glu_backward log_sigmoid_backward rrelu_with_noise_backward
    gelu_backward silu_backward mish_backward threshold_backward sigmoid_backward tanh_backward logit_backward
    rsub floor_divide complex polar heaviside _conj_physical
    """,
)

# gradients that are added where several outputs came from one input
per_input(1, "col2im embedding_dense_backward adaptive_max_pool2d_backward adaptive_max_pool3d_backward")
per_input(1, "reflection_pad1d_backward reflection_pad2d_backward reflection_pad3d_backward")
per_input(1, "replication_pad1d_backward replication_pad2d_backward replication_pad3d_backward")
per_input(1, "upsample_nearest1d_backward upsample_nearest2d_backward upsample_nearest3d_backward")
per_input(1, "_upsample_nearest_exact1d_backward _upsample_nearest_exact2d_backward")
per_input(
    1, "_upsample_nearest_exact3d_backward fractional_max_pool2d_backward fractional_max_pool3d_backward"
)
per_output(1, "_adaptive_avg_pool2d_backward _adaptive_avg_pool3d_backward")
per_output(1, "max_pool2d_with_indices_backward max_pool3d_with_indices_backward")

per_output(3, "upsample_linear1d")
per_output(7, "upsample_bilinear2d")
per_output(15, "upsample_trilinear3d")
per_output(31, "upsample_bicubic2d")
per_input(3, "upsample_linear1d_backward")
per_input(7, "upsample_bilinear2d_backward")
per_input(15, "upsample_trilinear3d_backward")
per_input(31, "upsample_bicubic2d_backward")

LOSSES = "mse_loss binary_cross_entropy huber_loss smooth_l1_loss soft_margin_loss"


@elementwise(LOSSES)
def _loss(call: Call) -> int:
    """One for each element, and one more where they are summed up (reduction 1 is the mean, 2 the sum)."""
    return call.input.numel() * (2 if call["reduction"] else 1)


@elementwise("binary_cross_entropy_with_logits")
def _loss_with_logits(call: Call) -> int:
    """A sigmoid, then as :func:`_loss`."""
    return call.input.numel() * (3 if call["reduction"] else 2)


per_output(1, "mse_loss_backward binary_cross_entropy_backward huber_loss_backward smooth_l1_loss_backward")
per_output(1, "soft_margin_loss_backward")


@elementwise("nll_loss_forward nll_loss2d_forward")
def _nll_loss(call: Call) -> int:
    """Each target picks one element; where they are summed up, one addition each."""
    return int(call["target"].numel()) if call["reduction"] else 0


@elementwise(
    """
    native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training _batch_norm_with_update
    cudnn_batch_norm
    """
)
def _batch_norm(call: Call) -> int:
    """Training: mean 1, variance 3, scale and shift 2. Inference: scale and shift."""
    training = next((a for a in call.args if isinstance(a, bool)), False)  # no flag in *_no_training
    with_update = "with_update" in str(call._func)
    return call.input.numel() * (6 if training or with_update else 2)


def _region(size: int, parts: int) -> int:
    """Elements read along one axis by adaptive pooling: its regions overlap where ``parts`` ∤ ``size``."""
    return sum(-(-(i + 1) * size // parts) - i * size // parts for i in range(parts))


@elementwise("_adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_max_pool2d adaptive_max_pool3d")
def _adaptive_pool(call: Call) -> int:
    """One for each element of each region."""
    x, axes = call.input, len(call["output_size"])
    regions = map(_region, x.shape[-axes:], call.out.shape[-axes:])
    return prod(x.shape[:-axes]) * prod(regions)


def _window(kernel: Sequence[int], axes: int) -> int:
    """Elements of a pooling window; one side given stands for all of them."""
    return prod(kernel) if len(kernel) == axes else kernel[0] ** axes


@elementwise("avg_pool2d max_pool2d_with_indices fractional_max_pool2d")
def _pool2d(call: Call) -> int:
    return call.out.numel() * _window(call["kernel_size"], 2)


@elementwise("avg_pool3d max_pool3d_with_indices fractional_max_pool3d")
def _pool3d(call: Call) -> int:
    return call.out.numel() * _window(call["kernel_size"], 3)


@elementwise("avg_pool2d_backward")
def _pool2d_backward(call: Call) -> int:
    return call.input.numel() * _window(call["kernel_size"], 2)


@elementwise("avg_pool3d_backward")
def _pool3d_backward(call: Call) -> int:
    return call.input.numel() * _window(call["kernel_size"], 3)


@elementwise("scatter_add scatter_reduce index_reduce")
def _scatter_sum(call: Call) -> int:
    """One for each element of the index: a source may be larger. Along one dimension it is the source's."""
    source = call["source" if "index_reduce" in str(call._func) else "index"]
    return int(source.numel())


@elementwise("index_add")
def _index_sum(call: Call) -> int:
    return int(call["source"].numel())


@elementwise("scatter")
def _scatter(call: Call) -> int:
    """Moves data, unless a ``reduce`` adds or multiplies it."""
    reduces = any(argument.name == "reduce" for argument in call._func._schema.arguments)
    return int(call["index"].numel()) if reduces else 0


@elementwise("index_put _index_put_impl _unsafe_index_put")
def _index_put(call: Call) -> int:
    """Moves data, unless it accumulates: then one for each element that the indices name."""
    return _indexed(call["self"], call["indices"]) if call["accumulate"] else 0


def _indexed(x: Tensor, indices: Sequence[Tensor | None]) -> int:
    """Elements of ``x[indices]``: what the indices broadcast to, times the dimensions not indexed."""
    given = [index for index in indices if index is not None]
    if any(index.dtype in (torch.bool, torch.uint8) for index in given):
        return x.numel()  # a mask: at most all of them
    used = [size for size, index in zip(x.shape, indices, strict=False) if index is not None]
    together = torch.broadcast_shapes(*(index.shape for index in given))  # type: ignore[no-untyped-call]
    return int(x.numel() // max(prod(used), 1) * prod(together))


@elementwise("_unsafe_masked_index_put_accumulate")
def _masked_put(call: Call) -> int:
    return int(call["values"].numel())


@elementwise("put")
def _put(call: Call) -> int:
    return int(call["index"].numel()) if call["accumulate"] else 0


@elementwise("_pdist_forward")
def _pairwise_distances(call: Call) -> int:
    """A difference, its power and a sum for each element of each pair of rows, and a root."""
    return int(call.out.numel() * (3 * call.input.shape[-1] + 1))


@elementwise("_fft_c2c _fft_r2c _fft_c2r")
def _fourier(call: Call) -> int:
    """Nominal, as FFTW's authors rate theirs: 5·n·log₂ n for n complex points, half where one side is real.

    Of several dimensions n is their product, one axis after the other; for an n that is no power of two the
    number is rounded. Normalisation is free.
    """
    name = str(call._func)
    points = call.out if "c2r" in name else call.input  # all of them, not the half that a real map leaves
    n = prod(points.shape[axis] for axis in call["dim"])
    return round((5 if "c2c" in name else 2.5) * points.numel() * log2(n))


INTERPOLATIONS = {0: 7, 1: 0, 2: 31}
"""Operations for each output element of grid_sample: bilinear, nearest, bicubic."""


@elementwise("grid_sampler_2d _grid_sampler_2d_cpu_fallback")
def _grid_sample(call: Call) -> int:
    return call.out.numel() * INTERPOLATIONS[call["interpolation_mode"]]


@elementwise("grid_sampler_2d_backward _grid_sampler_2d_cpu_fallback_backward")
def _grid_sample_backward(call: Call) -> int:
    """As often as forward for the map's gradient, and again for the grid's."""
    mask = call["output_mask"] if "fallback" not in str(call._func) else (True, True)
    return call.input.numel() * INTERPOLATIONS[call["interpolation_mode"]] * sum(map(int, mask))


@elementwise("grid_sampler_3d")
def _grid_sample_3d(call: Call) -> int:
    return call.out.numel() * (15 if call["interpolation_mode"] == 0 else 0)


def _taps(size: int, out: int, reach: float) -> list[int]:
    """Inputs that each output of an antialiased resize of one axis is a weighted sum of.

    ``reach`` is the filter's half width, 1 linear and 2 cubic; shrinking stretches it by the scale.
    """
    scale = size / out
    support = reach * max(scale, 1.0)
    centres = (scale * (i + 0.5) for i in range(out))
    return [min(floor(c + support + 0.5), size) - max(floor(c - support + 0.5), 0) for c in centres]


REACH = {"_upsample_bilinear2d_aa": 1.0, "_upsample_bicubic2d_aa": 2.0, "_upsample_lanczos2d_aa": 3.0}


def _reach(call: Call) -> float:
    return next(reach for name, reach in REACH.items() if name in str(call._func))


@elementwise(" ".join(REACH))
def _antialiased(call: Call) -> int:
    """One axis after the other: width first, then height; a sum of k values is 2·k − 1."""
    (height, width), (out_height, out_width) = call.input.shape[-2:], call.out.shape[-2:]
    across = height * sum(2 * k - 1 for k in _taps(width, out_width, _reach(call)))
    down = out_width * sum(2 * k - 1 for k in _taps(height, out_height, _reach(call)))
    return prod(call.input.shape[:-2]) * (across + down)


@elementwise(" ".join(f"{name}_backward" for name in REACH))
def _antialiased_backward(call: Call) -> int:
    """Each gradient is spread over all inputs of its window at once: 2·k − 1 for k of them."""
    (height, width), (out_height, out_width) = call.out.shape[-2:], call.input.shape[-2:]
    rows, columns = _taps(height, out_height, _reach(call)), _taps(width, out_width, _reach(call))
    return prod(call.input.shape[:-2]) * (2 * sum(rows) * sum(columns) - out_height * out_width)


@elementwise("grid_sampler_3d_backward")
def _grid_sample_3d_backward(call: Call) -> int:
    passes = sum(map(int, call["output_mask"]))
    return call.input.numel() * (15 if call["interpolation_mode"] == 0 else 0) * passes


@elementwise("_cdist_backward _pdist_backward")
def _distances_backward(call: Call) -> int:
    """For each element of each pair a difference, its share of the distance, and a sum."""
    return int(3 * call["grad"].numel() * call.out.shape[-1])


@elementwise("_embedding_bag _embedding_bag_forward_only")
def _embedding_bag(call: Call) -> int:
    """One addition, or comparison, for each element of each row that is looked up."""
    return int(call["indices"].numel() * call["weight"].shape[1])
