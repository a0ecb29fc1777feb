"""Outlook attention.

Li Yuan, Qibin Hou, Zihang Jiang, Jiashi Feng, Shuicheng Yan. VOLO: Vision Outlooker for Visual Recognition.
TPAMI 2022.
Paper: https://arxiv.org/abs/2106.13112
Official code: https://github.com/sail-sg/volo (Apache-2.0)

N is the batch size, C the number of channels, H×W the map, h the heads of c = C/h channels each, k×k a window
(k = 3), s the stride of the windows and so m = ⌈H/s⌉·⌈W/s⌉ their number; the W are 1×1 convolutions. X is the
input; for each head and window::

    V = the window's values of W_v X                                            k²×c
    A = softmax over its last axis of (W_a (mean over s×s of X) + b_a)/√c       k²×k²
    Y = W_o (sum of the A V where windows overlap) + b_o                        C×H×W

Outside the map the values are zero, and take weight.

Differs from the paper: the stride, 1 there, is 2 by default, as in the published networks.

Differs from the released code: ``heads`` has no default there; here a head has 32 channels, as in the
published networks, or all where C is no multiple of 32. k is no option.
"""

import math
from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional

_KERNEL = 3  # k, of all the published networks


class OutlookAttention(nn.Module):
    """Outlook attention: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        heads: h, a divisor of C; C/32 where not given, or one where C is no multiple of 32.
        stride: s, of at most 3, so that the windows cover the map.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(self, channels: int, *, heads: int | None = None, stride: int = 2) -> None:
        super().__init__()
        if not isinstance(channels, int) or channels < 1:
            raise ValueError(f"channels must be an integer of at least 1, got {channels!r}")
        heads = (1 if channels % 32 else channels // 32) if heads is None else heads
        if not isinstance(heads, int) or heads < 1 or channels % heads:
            raise ValueError(f"heads must be a divisor of the channels, {channels}, got {heads!r}")
        if not isinstance(stride, int) or not 1 <= stride <= _KERNEL:
            raise ValueError(f"stride must be an integer from 1 to {_KERNEL}, got {stride!r}")
        self.in_channels = self.out_channels = channels
        self.heads = heads
        self.stride = stride
        self.value = nn.Conv2d(channels, channels, 1, bias=False)
        self.attention = nn.Conv2d(channels, heads * _KERNEL**4, 1)
        self.proj = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        windows = {"kernel_size": _KERNEL, "padding": _KERNEL // 2, "stride": self.stride}
        taps, head = _KERNEL**2, x.shape[1] // self.heads
        v = functional.unfold(self.value(x), **windows)  # (N, C·k², m)
        v = v.view(len(x), self.heads, head, taps, -1)  # (N, h, c, k², m)
        v = v.permute(0, 1, 4, 3, 2)  # (N, h, m, k², c)
        pooled = functional.avg_pool2d(x, self.stride, ceil_mode=True)  # (N, C, ⌈H/s⌉, ⌈W/s⌉)
        logits = self.attention(pooled) / math.sqrt(head)  # (N, h·k⁴, ⌈H/s⌉, ⌈W/s⌉)
        logits = logits.view(len(x), self.heads, taps, taps, -1)  # (N, h, k², k², m)
        attention = logits.permute(0, 1, 4, 2, 3).softmax(dim=-1)  # (N, h, m, k², k²)
        mixed = (attention @ v).permute(0, 1, 4, 3, 2).reshape(len(x), x.shape[1] * taps, -1)  # (N, C·k², m)
        y: Tensor = self.proj(functional.fold(mixed, x.shape[2:], **windows))  # (N, C, H, W)
        return y

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' module.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        names, own = {"value": "v", "attention": "attn", "proj": "proj"}, self.state_dict()
        keys = {}
        for key in own:
            layer, _, name = key.partition(".")
            keys[key] = f"{names[layer]}.{name}"
        missing, unexpected = set(keys.values()) - set(state), set(state) - set(keys.values())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        weights = {key: state[keys[key]].reshape(own[key].shape) for key in own}  # (…) as here
        self.load_state_dict(weights)
