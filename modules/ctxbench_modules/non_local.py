"""Non-local Neural Networks.

Xiaolong Wang, Ross Girshick, Abhinav Gupta, Kaiming He. CVPR 2018.
Paper: https://arxiv.org/abs/1711.07971
Official code: https://github.com/facebookresearch/video-nonlocal-net (Caffe2). Held against two PyTorch
ports: https://github.com/AlexHex7/Non-local_pytorch and https://github.com/open-mmlab/mmcv.

N is the batch size, C the number of channels, H×W the map, n = H·W its positions, C' the width; a W with an
index is the weight of a 1×1 convolution. The embedded Gaussian block in two dimensions, X the input as C×n::

    θ = W_θ X + b_θ,  φ = W_φ X + b_φ,  g = W_g X + b_g      C'×n   (1×1 convolutions; section 3.2)
    A = softmax over each row of θᵀ φ                          n×n    (eq. 3, normalised as in eq. 1)
    Y = g Aᵀ                                                   C'×n   (eq. 1)
    Z = X + BN(W Y + b)                                        C×n    (eq. 6; the BN: section 4.1)

Differs from the paper: two dimensions in place of space and time; φ and g are not subsampled, which section
3.3 offers as a trick.

Differs from the released code: the Caffe2 code by default divides the logits by √C' and max-pools φ and g.
mmcv divides too and has no batch normalisation by default (``norm=False, use_scale=True``). AlexHex7's port,
which has the batch normalisation and does not divide, is the default here, but for its max-pooling of φ and
g (``sub_sample``), which is on by default there.
"""

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

# The layers here, and what the two ports call them.
_ALEXHEX = {"theta": "theta", "phi": "phi", "g": "g", "out": "W.0", "norm": "W.1"}
_MMCV = {name: f"{name}.conv" for name in ("theta", "phi", "g")} | {
    "out": "conv_out.conv",
    "norm": "conv_out.bn",
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


class NonLocal(nn.Module):
    """Embedded Gaussian non-local block: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        width: C', the channels of θ, φ and g; C // 2 where not given.
        norm: batch normalisation after the last convolution. Its weight starts at zero, so that the block
            starts as the identity; without it the last convolution does.
        use_scale: divide the logits by √C'.
        implementation: ``"fast"`` projects θ, φ, g in one product that leaves positions as rows, and attends
            with scaled-dot-product attention, which never stores the n×n map. ``"published"`` stores it.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(
        self,
        channels: int,
        *,
        width: int | None = None,
        norm: bool = True,
        use_scale: bool = False,
        implementation: Literal["fast", "published"] = "fast",
    ) -> None:
        super().__init__()
        _at_least_one("channels", channels)
        width = max(1, channels // 2) if width is None else _at_least_one("width", width)
        for name, flag in (("norm", norm), ("use_scale", use_scale)):
            if not isinstance(flag, bool):
                raise ValueError(f"{name} must be True or False, got {flag!r}")
        if implementation not in ("fast", "published"):
            raise ValueError(f"implementation must be 'fast' or 'published', got {implementation!r}")
        self.in_channels = self.out_channels = channels
        self.implementation = implementation
        self.scale = 1 / math.sqrt(width) if use_scale else 1.0
        self.theta = nn.Conv2d(channels, width, 1)
        self.phi = nn.Conv2d(channels, width, 1)
        self.g = nn.Conv2d(channels, width, 1)
        self.out = nn.Conv2d(width, channels, 1)
        self.norm = nn.BatchNorm2d(channels) if norm else None
        last = self.out if self.norm is None else self.norm
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        if implementation == "published":
            self.affinity = MatMul()
            self.aggregate = MatMul()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        return self._fast(x) if self.implementation == "fast" else self._published(x)

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of AlexHex7's ``NONLocalBlock2D`` or mmcv's ``NonLocal2d``.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        released_layers = _MMCV if any(key.startswith("conv_out.") for key in state) else _ALEXHEX
        keys = {}
        for key in self.state_dict():
            layer, _, name = key.partition(".")
            keys[key] = f"{released_layers[layer]}.{name}"
        missing, unexpected = set(keys.values()) - set(state), set(state) - set(keys.values())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        self.load_state_dict({name: state[released] for name, released in keys.items()})

    def _fast(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape, without an n×n map."""
        layers = (self.theta, self.phi, self.g)
        weight = torch.cat([layer.weight.flatten(1) for layer in layers])  # (3C', C)
        bias = torch.cat([layer.bias for layer in layers])  # type: ignore[misc]  # (3C',)
        rows = x.flatten(2).transpose(1, 2)  # (N, H·W, C)
        projected = torch.baddbmm(bias, rows, weight.t().expand(len(x), -1, -1))  # (N, H·W, 3C')
        # The axis of one head is there because torch's fused kernels take four dimensions only.
        query, key, value = projected.unsqueeze(1).chunk(3, dim=-1)  # (N, 1, H·W, C') each
        y = functional.scaled_dot_product_attention(query, key, value, scale=self.scale)
        y = y.squeeze(1)  # (N, H·W, C')

        # W Yᵀ brings the channels to the front again without a copy of its own.
        weight, bias = self.out.weight.flatten(1), self.out.bias[:, None]  # type: ignore[index]  # (C, C'), (C, 1)
        z = torch.baddbmm(bias, weight.expand(len(x), -1, -1), y.transpose(1, 2))  # (N, C, H·W)
        return self._normalised(z.view(x.shape)) + x  # (N, C, H, W)

    def _published(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        batch, _, height, width = x.shape
        theta, phi, g = (layer(x).flatten(2) for layer in (self.theta, self.phi, self.g))  # (N, C', H·W) each
        logits = self.affinity(theta.transpose(1, 2), phi)  # (N, H·W, H·W), a row for each position that asks
        attention = functional.softmax(logits if self.scale == 1 else logits * self.scale, dim=-1)
        y = self.aggregate(attention, g.transpose(1, 2)).transpose(1, 2)  # (N, C', H·W)
        return self._normalised(self.out(y.reshape(batch, -1, height, width))) + x  # (N, C, H, W)

    def _normalised(self, z: Tensor) -> Tensor:
        """(N, C, H, W) after the batch normalisation, or as it is where there is none."""
        normalised: Tensor = z if self.norm is None else self.norm(z)
        return normalised
