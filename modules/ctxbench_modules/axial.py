"""Axial attention, position-sensitive, along the height and then along the width.

Huiyu Wang, Yukun Zhu, Bradley Green, Hartwig Adam, Alan Yuille, Liang-Chieh Chen. Axial-DeepLab: Stand-Alone
Axial-Attention for Panoptic Segmentation. ECCV 2020.
Paper: https://arxiv.org/abs/2003.07853
Official code: https://github.com/csrhddlam/axial-deeplab (Apache-2.0)

N is the batch size, C the number of channels, H×W the map, G the groups (heads) of c = C/G channels. Along an
axis of L positions, each line of the map is a sequence X of C×L; o and p are two of its positions; R is a
table of 2c×(2L-1), shared by the groups and split as q, k, v are into R^q, R^k of c/2 rows and R^v of c
(section 3.2)::

    [q, k, v] = BN(W X) for each group                               c/2, c/2 and c×L
    E(o, p) = BN(q_o·k_p) + BN(q_o·R^q_{o−p}) + BN(k_p·R^k_{p−o})    L×L
    A = softmax over p of E                                          L×L
    y_o = BN(Σ_p A(o, p) v_p) + BN(Σ_p A(o, p) R^v_{o−p})            c×L

The three logits are normalised by one batch normalisation of 3G channels, the two terms of the output by one
of 2C. R depends on the length of its axis; a map of another size than the weights' is resampled to that size
and back, bilinearly, corners aligned.

Differs from the paper: the batch normalisations on logits and outputs, as in the released code.

Differs from the released code: ``AxialAttention`` twice is the block; its strides are not here, nor the
convolutions around it. Maps of another size are accepted. Where C is no multiple of 8, ``groups`` is by
default their greatest common divisor; where c is odd, q and k have the half rounded down, but at least one
channel.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional


class AxisAttention(nn.Module):
    """Attention along an axis: (B, C, L) to (B, C, L), with weights for L = ``length``."""

    def __init__(self, channels: int, groups: int, length: int) -> None:
        super().__init__()
        width = channels // groups
        self.groups = groups
        self.length = length
        self.split = [max(1, width // 2), max(1, width // 2), width]
        self.qkv = nn.Conv1d(channels, groups * sum(self.split), 1, bias=False)
        self.bn_qkv = nn.BatchNorm1d(groups * sum(self.split))
        self.bn_logits = nn.BatchNorm2d(3 * groups)
        self.bn_out = nn.BatchNorm1d(2 * channels)
        self.relative = nn.Parameter(torch.randn(sum(self.split), 2 * length - 1) / math.sqrt(width))
        nn.init.normal_(self.qkv.weight, std=math.sqrt(1 / channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, L) to (B, C, L)."""
        qkv = self.bn_qkv(self.qkv(x)).unflatten(1, (self.groups, -1))  # (B, G, 2c, L)
        q, k, v = torch.split(qkv, self.split, dim=2)  # (B, G, c/2, L) twice, (B, G, c, L)
        positions = torch.arange(self.length, device=x.device)
        offsets = positions[:, None] - positions + self.length - 1  # (L, L), o - p from 0
        tables = torch.split(self.relative[:, offsets], self.split)
        of_q, of_k, of_v = tables  # (c/2, L, L) twice, (c, L, L)
        logits = torch.cat(  # (B, 3G, L, L)
            [
                q.mT @ k,  # (B, G, L, L)
                torch.einsum("bgco,cop->bgop", q, of_q),  # (B, G, L, L)
                torch.einsum("bgcp,cpo->bgop", k, of_k),  # (B, G, L, L)
            ],
            dim=1,
        )
        attention = self.bn_logits(logits).unflatten(1, (3, -1)).sum(1).softmax(dim=-1)  # (B, G, L, L)
        values = v @ attention.mT  # (B, G, c, L)
        places = torch.einsum("bgop,cop->bgco", attention, of_v)  # (B, G, c, L)
        both = torch.stack([values, places], dim=3).flatten(1, 3)  # (B, 2C, L), in turns
        y: Tensor = self.bn_out(both).unflatten(1, (-1, 2)).sum(2)  # (B, C, L)
        return y


class AxialAttention(nn.Module):
    """Axial attention along the height, then along the width: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        size: (H, W) of the weights. Inputs of another size are accepted: see the file's docstring.
        groups: G, a divisor of C; where not given 8, or the greatest common divisor of 8 and C.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(self, channels: int, *, size: tuple[int, int], groups: int | None = None) -> None:
        super().__init__()
        if not isinstance(channels, int) or channels < 1:
            raise ValueError(f"channels must be an integer of at least 1, got {channels!r}")
        if len(size) != 2 or any(not isinstance(side, int) or side < 1 for side in size):
            raise ValueError(f"size must be (height, width), integers of at least 1, got {size!r}")
        groups = math.gcd(8, channels) if groups is None else groups
        if not isinstance(groups, int) or groups < 1 or channels % groups:
            raise ValueError(f"groups must be a divisor of the channels, {channels}, got {groups!r}")
        self.in_channels = self.out_channels = channels
        self.size = (size[0], size[1])
        self.height = AxisAttention(channels, groups, size[0])
        self.width = AxisAttention(channels, groups, size[1])

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        y = _resample(x, self.size)
        batch = len(y)
        y = self.height(y.permute(0, 3, 1, 2).flatten(0, 1)).unflatten(0, (batch, -1))  # (N, W, C, H)
        y = y.permute(0, 3, 2, 1).flatten(0, 1)  # (N·H, C, W)
        y = self.width(y).unflatten(0, (batch, -1)).transpose(1, 2)  # (N, C, H, W)
        return _resample(y, (x.shape[2], x.shape[3]))

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of two ``AxialAttention`` in sequence: ``0.`` the height's, ``1.`` the width's.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        layers = {
            "qkv": "qkv_transform",
            "bn_qkv": "bn_qkv",
            "bn_logits": "bn_similarity",
            "bn_out": "bn_output",
            "relative": "relative",
        }
        keys = {}
        for key in self.state_dict():
            axis, layer, *name = key.split(".")
            keys[key] = ".".join(["0" if axis == "height" else "1", layers[layer], *name])
        indices = {
            "0.flatten_index",
            "1.flatten_index",
        }  # their table of o - p, which follows from the length
        expected = {*keys.values(), *indices}
        missing, unexpected = expected - set(state), set(state) - expected
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        self.load_state_dict({name: state[released] for name, released in keys.items()})


def _resample(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, C, H, W) to (N, C, *size) bilinearly, corners aligned; the same tensor where nothing changes."""
    if x.shape[2:] == size:
        return x
    return functional.interpolate(x, size, mode="bilinear", align_corners=True)
