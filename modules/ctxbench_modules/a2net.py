"""A²-Nets: Double Attention Networks.

Yunpeng Chen, Yannis Kalantidis, Jianshu Li, Shuicheng Yan, Jiashi Feng. NeurIPS 2018.
Paper: https://arxiv.org/abs/1810.11579
Official code: none for the block that we know of. Held against two public ones:
https://github.com/gjylt/DoubleAttentionNet and https://github.com/nguyenvo09/Double-Attention-Network

N is the batch size, C the number of channels, H×W the map, n = H·W its positions, c_m the channels of the
features and c_n the number of attention maps; a W with an index is the weight of a 1×1 convolution, b its
bias. With X the input as C×n (section 3)::

    A = W_A X + b_A                          c_m×n    feature maps
    B = softmax over positions of W_B X + b_B    c_n×n    attention maps
    V = softmax over channels of W_V X + b_V     c_n×n    attention vectors
    G = A Bᵀ                                 c_m×c_n  global descriptors, gathered (eq. 2–4)
    Z = G V                                  c_m×n    distributed (eq. 5, 6)
    Y = X + W_R Z + b_R                      C×n      reconstruction and residual (section 3.3)

with c_m = c_n = C/4 in the paper.

Differs from the paper: nothing it states; it names no biases, which both public blocks have.

Differs from the released code: neither adds the input (``residual=False``), and gjylt's returns Z
(``reconstruct=False`` too).
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

# The layers here, and what both released blocks call them.
_RELEASED = {
    "feature": "convA",
    "attention_map": "convB",
    "attention_vector": "convV",
    "reconstruction": "conv_reconstruct",
}


class MatMul(nn.Module):
    """The product ``a @ b`` as a leaf module: a counter that hooks leaf modules misses a bare ``@``."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """(…, l, m) and (…, m, n) to (…, l, n)."""
        return a @ b  # (…, l, n)


def _at_least_one(name: str, value: int) -> int:
    """``value`` itself; raises ValueError where it is no integer of at least 1."""
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
    return value


class DoubleAttention(nn.Module):
    """Double attention block: (N, C, H, W) to (N, C, H, W), or to (N, c_m, H, W) without reconstruction.

    Args:
        channels: C.
        mid_channels: c_m, the channels of the feature maps; C // 4 where not given.
        attention_channels: c_n, the number of attention maps; C // 4 where not given.
        reconstruct: the 1×1 convolution from c_m back to C channels.
        residual: add the input; the output must then have C channels.
        implementation: ``"published"`` runs the equations above. Its leaf ``descriptors`` passes G through
            unchanged, so that whoever hooks leaf modules sees G once as an output of its own.
            ``"fast"`` moves W_A and W_R, with their biases, from the n positions to the c_n descriptors:
            Y = X + (W_R (W_A (X Bᵀ) + b_A) + b_R) V. The biases may move because B sums to one over the
            positions and V over its channels. For W_A as for W_R this takes C c_n (n + c_m)
            multiplications in place of c_m (C + c_n) n; where that is not fewer, the published order is used.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(
        self,
        channels: int,
        *,
        mid_channels: int | None = None,
        attention_channels: int | None = None,
        reconstruct: bool = True,
        residual: bool = True,
        implementation: Literal["fast", "published"] = "fast",
    ) -> None:
        super().__init__()
        _at_least_one("channels", channels)
        quarter = max(1, channels // 4)
        c_m = quarter if mid_channels is None else _at_least_one("mid_channels", mid_channels)
        c_n = (
            quarter if attention_channels is None else _at_least_one("attention_channels", attention_channels)
        )
        for name, flag in (("reconstruct", reconstruct), ("residual", residual)):
            if not isinstance(flag, bool):
                raise ValueError(f"{name} must be True or False, got {flag!r}")
        if implementation not in ("fast", "published"):
            raise ValueError(f"implementation must be 'fast' or 'published', got {implementation!r}")
        self.in_channels = channels
        self.out_channels = channels if reconstruct else c_m
        if residual and self.out_channels != channels:
            raise ValueError(
                f"residual needs as many channels out ({self.out_channels}) as in ({channels}): "
                "set reconstruct or residual=False"
            )
        self.residual = residual
        self.implementation = implementation
        self.feature = nn.Conv2d(channels, c_m, 1)
        self.attention_map = nn.Conv2d(channels, c_n, 1)
        self.attention_vector = nn.Conv2d(channels, c_n, 1)
        self.reconstruction = nn.Conv2d(c_m, channels, 1) if reconstruct else None
        self.gather = MatMul()
        self.descriptors = nn.Identity()
        self.distribute = MatMul()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, ``out_channels``, H, W); ValueError where ``x`` has other channels."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        channels, c_m, c_n = self.in_channels, self.feature.out_channels, self.attention_map.out_channels
        positions = x.shape[2] * x.shape[3]
        fewer = channels * c_n * (positions + c_m) < c_m * (channels + c_n) * positions
        return self._reordered(x) if self.implementation == "fast" and fewer else self._published(x)

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of gjylt's or, with ``reconstruct``, of nguyenvo09's block.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        keys = {}
        for key in self.state_dict():
            layer, _, name = key.partition(".")
            keys[key] = f"{_RELEASED[layer]}.{name}"
        missing, unexpected = set(keys.values()) - set(state), set(state) - set(keys.values())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        self.load_state_dict({name: state[released] for name, released in keys.items()})

    def _reordered(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, ``out_channels``, H, W), the convolutions W_A and W_R at the descriptors."""
        batch, _, height, width = x.shape
        flat = x.flatten(2)  # (N, C, H·W)

        def project(layer: nn.Conv2d, source: Tensor) -> Tensor:
            """A 1×1 convolution of L columns, whatever they stand for: (N, C, L) to (N, D, L), D its own."""
            weight, bias = layer.weight.flatten(1), layer.bias[:, None]  # type: ignore[index]  # (D, C), (D, 1)
            return torch.baddbmm(bias, weight.expand(batch, -1, -1), source)  # (N, D, L)

        maps = project(self.attention_map, flat).softmax(dim=2)  # (N, c_n, H·W), one over positions
        descriptors = project(self.feature, torch.bmm(flat, maps.mT))  # (N, C, c_n) to (N, c_m, c_n)
        if self.reconstruction is not None:
            descriptors = project(self.reconstruction, descriptors)  # (N, c_m, c_n) to (N, C, c_n)
        # V comes last, so that the backward pass is done with it before it makes the gradients of X.
        vectors = project(self.attention_vector, flat).softmax(dim=1)  # (N, c_n, H·W), one over channels
        # With the residual the product is added to X as it is made: no map beside the output.
        if self.residual:
            return torch.baddbmm(flat, descriptors, vectors).view(x.shape)  # (N, C, H, W)
        return torch.bmm(descriptors, vectors).view(batch, -1, height, width)  # (N, C or c_m, H, W)

    def _published(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, ``out_channels``, H, W)."""
        batch, _, height, width = x.shape
        features = self.feature(x).flatten(2)  # (N, c_m, H·W)
        maps = functional.softmax(self.attention_map(x).flatten(2), dim=2)  # (N, c_n, H·W)
        vectors = functional.softmax(self.attention_vector(x).flatten(2), dim=1)  # (N, c_n, H·W)
        descriptors = self.descriptors(self.gather(features, maps.mT))  # (N, c_m, c_n)
        y: Tensor = self.distribute(descriptors, vectors).view(batch, -1, height, width)  # (N, c_m, H, W)
        if self.reconstruction is not None:
            y = self.reconstruction(y)
        return x + y if self.residual else y
