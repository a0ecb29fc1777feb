"""Polarized self-attention, parallel and sequential.

Huajun Liu, Fuqiang Liu, Xinyi Fan, Dong Huang. Polarized Self-Attention: Towards High-quality Pixel-wise
Regression. arXiv 2021.
Paper: https://arxiv.org/abs/2107.00782
Official code: https://github.com/DeLightCMU/PSA (Apache-2.0)

N is the batch size, C the number of channels, H×W the map, n = H·W its positions, I = C/2; a W with an index
is the weight of a 1×1 convolution without bias, μ a mean over positions. X is the input as C×n (section 3)::

    channels:  c = W_v X (softmax over positions of W_q X)ᵀ               I      W_v I×C, W_q 1×C
               m_c = σ(W_z c)                                             C      parallel, W_z C×I
               m_c = σ(W_z' ReLU(LN(W_z c + b_z)) + b_z')                 C      sequential, I/4 in between
    positions: a = μ of W_q' X                                            I
               m_p = σ(softmax over positions of aᵀ W_v' X)               n      parallel
               m_p = σ(aᵀ (softmax over positions of W_v' X))             n      sequential
    parallel:   Y = m_c ⊙ X + m_p ⊙ X                                     C×n
    sequential: Y = m_p ⊙ (m_c ⊙ X), with m_p of m_c ⊙ X                  C×n

``fast`` takes the projections off the n positions: W_v and W_q' act on a pooled vector, and in the parallel
form W_v' too, as aᵀ W_v', one vector of C. Only W_v' of the sequential form, which stands within a soft-max,
stays.

Differs from the paper: as in the released code. There the soft-max of the positions' branch is over the
channels of the pooled a, and W_z is followed by a layer normalisation in either form; here m_p of the
parallel form is σ of a distribution over n positions, and so for large maps near 1/2 everywhere.

Differs from the released code: where C < 8, I and the sequential form's bottleneck have one channel, and
theirs none.
"""

from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn

# The layers here, and what the authors call them.
_RELEASED = {
    "channel_query": "conv_q_right",
    "channel_value": "conv_v_right",
    "up": "conv_up",
    "position_query": "conv_q_left",
    "position_value": "conv_v_left",
}


class MatMul(nn.Module):
    """The product ``a @ b`` as a leaf module: a counter that hooks leaf modules misses a bare ``@``."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """(N, l, m) and (N, m, n) to (N, l, n)."""
        return a @ b  # (N, l, n)


class PolarizedSelfAttention(nn.Module):
    """Polarized self-attention: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        layout: ``"parallel"`` or ``"sequential"``, channels first.
        implementation: ``"fast"`` or ``"published"``; same parameters, same outputs to rounding.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(
        self,
        channels: int,
        *,
        layout: Literal["parallel", "sequential"] = "parallel",
        implementation: Literal["fast", "published"] = "fast",
    ) -> None:
        super().__init__()
        if not isinstance(channels, int) or channels < 1:
            raise ValueError(f"channels must be an integer of at least 1, got {channels!r}")
        if layout not in ("parallel", "sequential"):
            raise ValueError(f"layout must be 'parallel' or 'sequential', got {layout!r}")
        if implementation not in ("fast", "published"):
            raise ValueError(f"implementation must be 'fast' or 'published', got {implementation!r}")
        width = max(1, channels // 2)
        self.in_channels = self.out_channels = channels
        self.layout = layout
        self.implementation = implementation
        self.channel_query = nn.Conv2d(channels, 1, 1, bias=False)
        self.channel_value = nn.Conv2d(channels, width, 1, bias=False)
        self.up: nn.Module = nn.Conv2d(width, channels, 1, bias=False)
        if layout == "sequential":
            narrow = max(1, width // 4)
            self.up = nn.Sequential(
                nn.Conv2d(width, narrow, 1),
                nn.LayerNorm([narrow, 1, 1]),
                nn.ReLU(),
                nn.Conv2d(narrow, channels, 1),
            )
        self.position_query = nn.Conv2d(channels, width, 1, bias=False)
        self.position_value = nn.Conv2d(channels, width, 1, bias=False)
        self.product = MatMul()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        by_channel = self._channel_mask(x)  # (N, C, 1, 1)
        if self.layout == "parallel":
            return x * by_channel + x * self._position_mask(x)  # (N, 1, H, W) scales (N, C, H, W)
        y = x * by_channel
        return y * self._position_mask(y)  # (N, 1, H, W) scales (N, C, H, W)

    def _channel_mask(self, x: Tensor) -> Tensor:
        """m_c of (N, C, H, W), (N, C, 1, 1)."""
        weights = self.channel_query(x).flatten(2).softmax(dim=2).mT  # (N, H·W, 1)
        if self.implementation == "fast":
            pooled = self.channel_value(self.product(x.flatten(2), weights).unsqueeze(3))  # (N, I, 1, 1)
        else:
            values = self.channel_value(x).flatten(2)  # (N, I, H·W)
            pooled = self.product(values, weights).unsqueeze(3)  # (N, I, 1, 1)
        mask: Tensor = self.up(pooled).sigmoid()  # (N, C, 1, 1)
        return mask

    def _position_mask(self, x: Tensor) -> Tensor:
        """m_p of (N, C, H, W), (N, 1, H, W)."""
        fast, parallel = self.implementation == "fast", self.layout == "parallel"
        if fast:
            pooled = self.position_query(x.mean((2, 3), keepdim=True))  # (N, I, 1, 1)
        else:
            pooled = self.position_query(x).mean((2, 3), keepdim=True)  # (N, I, 1, 1)
        query = pooled.flatten(2).mT  # (N, 1, I)
        if fast and parallel:
            folded = query @ self.position_value.weight.flatten(1)  # (N, 1, C)
            logits = self.product(folded, x.flatten(2)).softmax(dim=2)  # (N, 1, H·W)
        elif parallel:
            values = self.position_value(x).flatten(2)  # (N, I, H·W)
            logits = self.product(query, values).softmax(dim=2)  # (N, 1, H·W)
        else:
            values = self.position_value(x).flatten(2).softmax(dim=2)  # (N, I, H·W)
            logits = self.product(query, values)  # (N, 1, H·W)
        mask: Tensor = logits.unflatten(2, x.shape[2:]).sigmoid()  # (N, 1, H, W)
        return mask

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' ``PSA_p`` or, sequential, of their ``PSA_s``.

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
