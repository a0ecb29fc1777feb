"""ACmix, self-attention of a neighbourhood and convolution from the same projections.

Xuran Pan, Chunjiang Ge, Rui Lu, Shiji Song, Guanfu Chen, Zeyi Huang, Gao Huang. On the Integration of
Self-Attention and Convolution. CVPR 2022.
Paper: https://arxiv.org/abs/2111.14556
Official code: https://github.com/LeapLabTHU/ACmix (no licence)

N is the batch size, C the number of channels, H×W the map, n = H·W its positions, h the heads of d = C/h
channels each, k×k the neighbourhood; the W are 1×1 convolutions. X is the input as C×n (section 4)::

    Q = W_q X + b_q,  K = W_k X + b_k,  V = W_v X + b_v               C×n
    P = W_p (x, y) + b_p                                              d×n   x, y of a position, −1 … 1
    a_ij = softmax over the k² neighbours j of q_i·(k_j + p_i − p_j)/√d     for each head
    Y_a = Σ_j a_ij v_j                                                C×n
    F = W_f [Q; K; V] for each of the d channels of a head            9·d×n   W_f 9×3h, without bias
    Y_c = 3×3 convolution of F in d groups, h outputs each            C×n   without bias
    Y = α Y_a + β Y_c                                                 C×n   α = β = 1/2 at the start

The map is mirrored at its border for the attention. The 3×3 kernels start as the nine shifts.

``published`` gathers the k² neighbours of every key, position and value. In ``fast``, what is the same for
all neighbours leaves the soft-max: p_i and b_p, so that k − p is mirrored once; and the k² offsets are taken
one after the other, so that no neighbourhood is ever stored.

Differs from the paper: nothing.

Differs from the released code: its stride and dilation, 1 in the published blocks, and the side of the
convolution are no options. Where C is no multiple of 4, ``heads`` is by default their greatest common
divisor. A map with a side of at most k/2 is mirrored again and again, where theirs fails.
"""

import math
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

_TAPS = 9  # of the 3×3 convolution

# The layers here, and what the authors call them.
_RELEASED = {
    "attention_rate": "rate1",
    "convolution_rate": "rate2",
    "query": "conv1",
    "key": "conv2",
    "value": "conv3",
    "position": "conv_p",
    "mix": "fc",
    "shift": "dep_conv",
}


def _mirrored(x: Tensor, margin: int) -> Tensor:
    """(N, C, H, W) with ``margin`` more positions on each side, mirrored at the outermost."""
    if min(x.shape[2:]) > margin:
        return functional.pad(x, (margin,) * 4, mode="reflect")
    sides = []
    for side in x.shape[2:]:
        period = max(1, 2 * (side - 1))
        at = torch.arange(-margin, side + margin, device=x.device) % period
        sides.append(torch.minimum(at, period - at))  # 0 … side-1 and back
    return x[:, :, sides[0][:, None], sides[1]]  # (N, C, H + 2·margin, W + 2·margin)


class ACmix(nn.Module):
    """Self-attention of a neighbourhood and convolution: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        heads: h, a divisor of C; where not given 4, or the greatest common divisor of 4 and C.
        kernel_size: k of the attention, odd.
        implementation: ``"fast"`` or ``"published"``; same parameters, same outputs to rounding.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(
        self,
        channels: int,
        *,
        heads: int | None = None,
        kernel_size: int = 7,
        implementation: Literal["fast", "published"] = "fast",
    ) -> None:
        super().__init__()
        if not isinstance(channels, int) or channels < 1:
            raise ValueError(f"channels must be an integer of at least 1, got {channels!r}")
        heads = math.gcd(4, channels) if heads is None else heads
        if not isinstance(heads, int) or heads < 1 or channels % heads:
            raise ValueError(f"heads must be a divisor of the channels, {channels}, got {heads!r}")
        if not isinstance(kernel_size, int) or kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be an odd integer of at least 1, got {kernel_size!r}")
        if implementation not in ("fast", "published"):
            raise ValueError(f"implementation must be 'fast' or 'published', got {implementation!r}")
        self.in_channels = self.out_channels = channels
        self.heads = heads
        self.kernel_size = kernel_size
        self.implementation = implementation
        width = channels // heads
        self.attention_rate = nn.Parameter(torch.full((1,), 0.5))
        self.convolution_rate = nn.Parameter(torch.full((1,), 0.5))
        self.query, self.key, self.value = (nn.Conv2d(channels, channels, 1) for _ in range(3))
        self.position = nn.Conv2d(2, width, 1)
        self.mix = nn.Conv2d(3 * heads, _TAPS, 1, bias=False)
        self.shift = nn.Conv2d(_TAPS * width, channels, 3, padding=1, groups=width, bias=False)
        with torch.no_grad():
            self.shift.weight.copy_(torch.eye(_TAPS).view(_TAPS, 3, 3))  # (9, 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        q, k, v = self.query(x), self.key(x), self.value(x)  # (N, C, H, W) each
        attend = self._fast if self.implementation == "fast" else self._published
        heads = (len(x) * self.heads, -1, *x.shape[2:])
        attended = attend(q.reshape(heads), k.reshape(heads), v.reshape(heads))  # (N·h, d, H, W)
        attended = self.attention_rate * attended.view(x.shape)  # (N, C, H, W)
        return attended + self.convolution_rate * self._convolved(q, k, v)

    def _convolved(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Y_c (N, C, H, W) of q, k, v of the same shape."""
        by_channel = torch.cat([q, k, v], dim=1)  # (N, 3C, H, W)
        by_channel = by_channel.reshape(len(q), 3 * self.heads, -1, q[0, 0].numel())  # (N, 3h, d, H·W)
        mixed = self.mix(by_channel).transpose(1, 2)  # (N, d, 9, H·W)
        y: Tensor = self.shift(mixed.reshape(len(q), -1, *q.shape[2:]))  # (N, d·9, H, W) to (N, C, H, W)
        return y

    def _positions(self, like: Tensor) -> Tensor:
        """P, (1, d, H, W)."""
        y, x = (torch.linspace(-1, 1, side, device=like.device, dtype=like.dtype) for side in like.shape[2:])
        rows, columns = torch.meshgrid(y, x, indexing="ij")  # (H, W) each
        p: Tensor = self.position(torch.stack([columns, rows]).unsqueeze(0))  # (1, 2, H, W) to (1, d, H, W)
        return p

    def _published(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Y_a of q, k, v, all (N·h, d, H, W)."""
        p = self._positions(q)  # (1, d, H, W)
        keys, places, values = map(self._neighbours, (k, p, v))  # (N·h or 1, d, k², H, W) each
        q, p = (q / math.sqrt(q.shape[1])).unsqueeze(2), p.unsqueeze(2)  # (N·h or 1, d, 1, H, W)
        attention = (q * (keys + p - places)).sum(1).softmax(dim=1)  # (N·h, k², H, W)
        return (attention.unsqueeze(1) * values).sum(2)  # (N·h, d, H, W)

    def _neighbours(self, x: Tensor) -> Tensor:
        """(N, d, H, W) to (N, d, k², H, W)."""
        mirrored = _mirrored(x, self.kernel_size // 2)
        unfolded = functional.unfold(mirrored, self.kernel_size)  # (N, d·k², H·W)
        return unfolded.view(*x.shape[:2], -1, *x.shape[2:])  # (N, d, k², H, W)

    def _fast(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Y_a of q, k, v, all (N·h, d, H, W)."""
        q = q / math.sqrt(q.shape[1])
        logits = [(q * key).sum(1) for key in self._shifted(k - self._positions(q))]  # (N·h, H, W) each
        attention = torch.stack(logits, dim=1).softmax(dim=1)  # (N·h, k², H, W)
        y = torch.zeros_like(v)
        for weight, value in zip(attention.unsqueeze(2).unbind(1), self._shifted(v), strict=True):
            y = torch.addcmul(y, weight, value)  # (N·h, 1, H, W) scales (N·h, d, H, W)
        return y

    def _shifted(self, x: Tensor) -> Iterator[Tensor]:
        """(N, d, H, W) at each of the k² offsets, (N, d, H, W) each, row by row."""
        mirrored, (height, width) = _mirrored(x, self.kernel_size // 2), x.shape[2:]
        for row, column in product(range(self.kernel_size), repeat=2):
            yield mirrored[:, :, row : row + height, column : column + width]

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' ``ACmix``.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        keys = {}
        for key in self.state_dict():
            layer, dot, name = key.partition(".")
            keys[key] = f"{_RELEASED[layer]}{dot}{name}"
        missing, unexpected = set(keys.values()) - set(state), set(state) - set(keys.values())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        self.load_state_dict({name: state[released] for name, released in keys.items()})
