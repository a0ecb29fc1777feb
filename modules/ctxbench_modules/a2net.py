"""A²-Nets: Double Attention Networks.

Yunpeng Chen, Yannis Kalantidis, Jianshu Li, Shuicheng Yan, Jiashi Feng. NeurIPS 2018.
Paper: https://arxiv.org/abs/1810.11579
Official code: none for the block that we know of. Held against two public ones:
https://github.com/gjylt/DoubleAttentionNet and https://github.com/nguyenvo09/Double-Attention-Network

With X the input as C×n, n = H·W positions (section 3)::

    A = W_A X + b_A                          c_m×n    feature maps
    B = softmax over positions of W_B X + b_B    c_n×n    attention maps
    V = softmax over channels of W_V X + b_V     c_n×n    attention vectors
    G = A Bᵀ                                 c_m×c_n  global descriptors, gathered (eq. 2–4)
    Z = G V                                  c_m×n    distributed (eq. 5, 6)
    Y = X + W_R Z + b_R                      C×n      reconstruction and residual (section 3.3)

with c_m = c_n = C/4 in the paper.

Differs from the paper: nothing.

Differs from the released code: neither adds the input (``residual=False``), and gjylt's returns Z
(``reconstruct=False`` too).
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

_RELEASED = {
    "feature": "convA",
    "attention_map": "convB",
    "attention_vector": "convV",
    "reconstruction": "conv_reconstruct",
}


class MatMul(nn.Module):
    """The product ``a @ b`` as a leaf module, for counters that see leaves only."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """(…, l, m) and (…, m, n) to (…, l, n)."""
        return a @ b


def _at_least_one(name: str, value: int) -> int:
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
            unchanged: a place for hooks, and a half MiB that the RecoNet paper's Table 10 counts (25.00 MiB).
            ``"fast"`` uses that B sums to one over positions and V over channels, by which W_A and W_R
            (with their biases) move to the descriptors: Y = X + (W_R (W_A (X Bᵀ) + b_A) + b_R) V. For W_A as
            for W_R this takes C c_n (n + c_m) multiplications in place of c_m (C + c_n) n; where that is not
            fewer, the published order is used.

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
        """(N, C, H, W) to (N, ``out_channels``, H, W)."""
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
        self.load_state_dict({ours: state[key] for ours, key in keys.items()})

    def _reordered(self, x: Tensor) -> Tensor:
        n, _, height, width = x.shape
        flat = x.flatten(2)

        def project(layer: nn.Conv2d, source: Tensor) -> Tensor:
            weight, bias = layer.weight.flatten(1), layer.bias[:, None]  # type: ignore[index]
            return torch.baddbmm(bias, weight.expand(n, -1, -1), source)

        maps = project(self.attention_map, flat).softmax(dim=2)
        vectors = project(self.attention_vector, flat).softmax(dim=1)
        descriptors = project(self.feature, torch.bmm(flat, maps.mT))
        if self.reconstruction is not None:
            descriptors = project(self.reconstruction, descriptors)
        y = torch.baddbmm(flat, descriptors, vectors) if self.residual else torch.bmm(descriptors, vectors)
        return y.view(n, -1, height, width)

    def _published(self, x: Tensor) -> Tensor:
        n, _, height, width = x.shape
        features = self.feature(x).flatten(2)
        maps = functional.softmax(self.attention_map(x).flatten(2), dim=2)
        vectors = functional.softmax(self.attention_vector(x).flatten(2), dim=1)
        descriptors = self.descriptors(self.gather(features, maps.mT))
        y: Tensor = self.distribute(descriptors, vectors).view(n, -1, height, width)
        if self.reconstruction is not None:
            y = self.reconstruction(y)
        return x + y if self.residual else y
