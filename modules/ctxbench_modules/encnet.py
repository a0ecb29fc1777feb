"""Context encoding module of EncNet.

Hang Zhang, Kristin Dana, Jianping Shi, Zhongyue Zhang, Xiaogang Wang, Ambrish Tyagi, Amit Agrawal. Context
Encoding for Semantic Segmentation. CVPR 2018.
Paper: https://arxiv.org/abs/1803.08904
Official code: https://github.com/zhanghang1989/PyTorch-Encoding (MIT)

N is the batch size, C the number of channels, H×W the map, n = H·W its positions, K the codewords d_k of C
channels, s_k their smoothing factors. X is the input as C×n, z_i a position of Z (section 3.1)::

    Z = ReLU(BN(W X))                                 C×n    W a 1×1 convolution without bias
    a_ik = softmax over k of s_k ‖z_i − d_k‖²         n×K    (eq. 1; s_k from (−1, 0) at the start)
    E_k = Σ_i a_ik (z_i − d_k)                        K×C    the encoder
    e = mean over k of ReLU(BN(E))                    C      BN over the codewords
    Y = ReLU(X + X ⊙ σ(W_γ e + b_γ))                  C×n    featuremap attention
    logits = W_c e + b_c                              presence of each class in the image, for the SE loss

``published`` makes the residuals z_i − d_k, K·C·n values, as released. ``fast`` never does: ‖z‖² − 2 dᵀz +
‖d‖² and A Zᵀ − (Σ_i a_ik) d_k are two products, of K·C·n multiplications each, where the residuals take as
many differences, squares and sums, which no count of products sees.

Differs from the paper: the sign of s_k: eq. 1 has −s_k. As in the released code, the attention has a skip
connection and a ReLU around it.

Differs from the released code: nothing; its lateral connections are the network's.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

# The layers here, and what the authors call them.
_RELEASED = {
    "conv": "encoding.0",
    "bn": "encoding.1",
    "encoder": "encoding.3",
    "encoder_bn": "encoding.4",
    "gate": "fc.0",
    "presence": "selayer",
}


def _at_least_one(name: str, value: int) -> int:
    """``value`` itself; raises ValueError where it is no integer of at least 1."""
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
    return value


class Encoder(nn.Module):
    """Features (N, C, n) to the residuals from each codeword, summed by their weights, (N, K, C)."""

    def __init__(self, channels: int, codes: int, *, fast: bool) -> None:
        super().__init__()
        self.fast = fast
        bound = (codes * channels) ** -0.5
        self.codewords = nn.Parameter(torch.empty(codes, channels).uniform_(-bound, bound))
        self.scale = nn.Parameter(torch.empty(codes).uniform_(-1, 0))

    def forward(self, z: Tensor) -> Tensor:
        """(N, C, n) to (N, K, C)."""
        return self._fast(z) if self.fast else self._published(z)

    def _published(self, z: Tensor) -> Tensor:
        """(N, C, n) to (N, K, C)."""
        residuals = z.mT.unsqueeze(2) - self.codewords  # (N, n, K, C)
        weights = (self.scale * residuals.square().sum(3)).softmax(dim=2)  # (N, n, K)
        return (weights.unsqueeze(3) * residuals).sum(1)  # (N, K, C)

    def _fast(self, z: Tensor) -> Tensor:
        """(N, C, n) to (N, K, C), without the residuals."""
        lengths = self.codewords.square().sum(1, keepdim=True)  # (K, 1)
        distances = torch.baddbmm(lengths, self.codewords.expand(len(z), -1, -1), z, alpha=-2)  # (N, K, n)
        distances = distances + z.square().sum(1, keepdim=True)  # (N, K, n)
        weights = (self.scale[:, None] * distances).softmax(dim=1)  # (N, K, n)
        return weights @ z.mT - weights.sum(2, keepdim=True) * self.codewords  # (N, K, C)


class ContextEncoding(nn.Module):
    """Context encoding module: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        codes: K.
        classes: of the second output, :meth:`forward_with_presence`; without it there is none.
        implementation: ``"fast"`` or ``"published"``, described above.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(
        self,
        channels: int,
        *,
        codes: int = 32,
        classes: int | None = None,
        implementation: Literal["fast", "published"] = "fast",
    ) -> None:
        super().__init__()
        _at_least_one("channels", channels)
        if implementation not in ("fast", "published"):
            raise ValueError(f"implementation must be 'fast' or 'published', got {implementation!r}")
        self.in_channels = self.out_channels = channels
        self.implementation = implementation
        self.conv = nn.Conv2d(channels, channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(channels)
        fast = implementation == "fast"
        self.encoder = Encoder(channels, _at_least_one("codes", codes), fast=fast)
        self.encoder_bn = nn.BatchNorm1d(codes)
        self.gate = nn.Linear(channels, channels)
        known = None if classes is None else _at_least_one("classes", classes)
        self.presence = None if known is None else nn.Linear(channels, known)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        return self._attended(x, self._encoding(x))

    def forward_with_presence(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) to the same shape and the logits (N, ``classes``) of which classes the image has.

        Raises:
            ValueError: the input is not (N, ``channels``, H, W), or the module has no ``classes``.

        """
        if self.presence is None:
            raise ValueError("the module was built without classes")
        encoding = self._encoding(x)
        return self._attended(x, encoding), self.presence(encoding)

    def _encoding(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to e, (N, C)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        z = functional.relu(self.bn(self.conv(x))).flatten(2)  # (N, C, H·W)
        return functional.relu(self.encoder_bn(self.encoder(z))).mean(1)  # (N, K, C) to (N, C)

    def _attended(self, x: Tensor, encoding: Tensor) -> Tensor:
        """The map (N, C, H, W) gated by the encoding (N, C), of the same shape."""
        gate = self.gate(encoding).sigmoid()[:, :, None, None]  # (N, C, 1, 1)
        return functional.relu(x + x * gate)

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' ``EncModule``.

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
