"""Separable self-attention.

Sachin Mehta, Mohammad Rastegari. Separable Self-attention for Mobile Vision Transformers. arXiv 2022.
Paper: https://arxiv.org/abs/2206.02680
Official code: https://github.com/apple/ml-cvnets (Apple's sample code licence)

N is the batch size, C the number of channels, H×W the map, n = H·W its positions. The map is cut into patches
of p×p; the n/p² positions at the same place in their patches, in rows and in columns, are a set, and the p²
sets attend apart. The W are 1×1 convolutions. X is the input, C×n/p² for each set::

    s = softmax over the set of (W_s X + b_s)          1×n/p²    context scores
    c = Σ over the set of s ⊙ (W_k X + b_k)            C         context vector
    Y = W_o (ReLU(W_v X + b_v) ⊙ c) + b_o              C×n/p²

``fast`` pools X with the scores before W_k, as they sum to one: c = W_k (X sᵀ) + b_k. That is p²C²
multiplications in place of C²n, where that is fewer.

Differs from the paper: nothing.

Differs from the released code: the folding into patches, which is its caller's, is part of the module. A map
whose sides are no multiples of p is resampled to the next multiples, bilinearly, corners aligned, as its
caller does, and the output back to the map's size.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional


class SeparableSelfAttention(nn.Module):
    """Separable self-attention: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        patch: p.
        implementation: ``"fast"`` or ``"published"``; same parameters, same outputs to rounding.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(
        self, channels: int, *, patch: int = 2, implementation: Literal["fast", "published"] = "fast"
    ) -> None:
        super().__init__()
        for name, value in (("channels", channels), ("patch", patch)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
        if implementation not in ("fast", "published"):
            raise ValueError(f"implementation must be 'fast' or 'published', got {implementation!r}")
        self.in_channels = self.out_channels = channels
        self.patch = patch
        self.implementation = implementation
        self.qkv = nn.Conv2d(channels, 1 + 2 * channels, 1)
        self.proj = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        (height, width), p = x.shape[2:], self.patch
        x = _resample(x, (height + -height % p, width + -width % p))  # (N, C, p·h, p·w)
        channels = self.in_channels
        weights = torch.split(self.qkv.weight, [1, channels, channels])  # (1, C, 1, 1), (C, C, 1, 1) twice
        biases = torch.split(self.qkv.get_parameter("bias"), [1, channels, channels])  # (1,), (C,) twice
        if self.implementation == "fast" and p * p < x.shape[2] * x.shape[3]:
            scores = self._scores(functional.conv2d(x, weights[0], biases[0]))  # (N, 1, h, p, w, p)
            pooled = (_tiled(x, p) * scores).sum((2, 4))  # (N, C, p, p)
            context = functional.conv2d(pooled, weights[1], biases[1])  # (N, C, p, p)
            values = functional.conv2d(x, weights[2], biases[2])  # (N, C, p·h, p·w)
        else:
            query, keys, values = torch.split(self.qkv(x), [1, channels, channels], dim=1)
            context = (_tiled(keys, p) * self._scores(query)).sum((2, 4))  # (N, C, p, p)
        tiled = _tiled(functional.relu(values), p)  # (N, C, h, p, w, p)
        y = self.proj((tiled * context[:, :, None, :, None]).reshape(x.shape))  # (N, C, p·h, p·w)
        return _resample(y, (height, width))

    def _scores(self, query: Tensor) -> Tensor:
        """(N, 1, p·h, p·w) to the context scores, (N, 1, h, p, w, p)."""
        sets = _tiled(query, self.patch).permute(0, 1, 3, 5, 2, 4)  # (N, 1, p, p, h, w)
        scores = sets.flatten(4).softmax(dim=4).view(sets.shape)  # (N, 1, p, p, h, w)
        return scores.permute(0, 1, 4, 2, 5, 3)  # (N, 1, h, p, w, p)

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' ``LinearSelfAttention``.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        keys = {}
        for key in self.state_dict():
            layer, _, name = key.partition(".")
            keys[key] = f"{'qkv_proj' if layer == 'qkv' else 'out_proj'}.block.conv.{name}"
        missing, unexpected = set(keys.values()) - set(state), set(state) - set(keys.values())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        self.load_state_dict({name: state[released] for name, released in keys.items()})


def _tiled(x: Tensor, patch: int) -> Tensor:
    """(N, C, p·h, p·w) to its patches, (N, C, h, p, w, p)."""
    n, c, height, width = x.shape
    return x.reshape(n, c, height // patch, patch, width // patch, patch)  # (N, C, h, p, w, p)


def _resample(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, C, H, W) to (N, C, *size) bilinearly, corners aligned; the same tensor where nothing changes."""
    if x.shape[2:] == size:
        return x
    return functional.interpolate(x, size, mode="bilinear", align_corners=True)
