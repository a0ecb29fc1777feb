"""Object-contextual representations (OCR).

Yuhui Yuan, Xilin Chen, Jingdong Wang. Object-Contextual Representations for Semantic Segmentation. ECCV 2020.
Paper: https://arxiv.org/abs/1909.11065
Official code: https://github.com/openseg-group/openseg.pytorch (MIT)

N is the batch size, C the number of channels, H×W the map, n = H·W its positions, k the classes, K the
channels of query and key; φ, δ and ψ are two, ρ, ω and g one biased 1×1 convolution, each followed by batch
normalisation and ReLU. X is the input as C×n, L the class logits k×n of an auxiliary head (section 3)::

    M = softmax over positions of L                 k×n    soft object regions
    F = X Mᵀ                                        C×k    object region representations
    A = softmax over objects of φ(X)ᵀ ψ(F) / √K     n×k    pixel-region relation
    Y' = ρ(δ(F) Aᵀ)                                 C×n    object contextual representations
    Y = dropout(g([Y'; X]))                         C×n    augmented

δ leads to K channels and ρ, whose convolution is W_ρ and b_ρ, back to C.

In the network L comes from a head of its own on an earlier stage. Where the module is given features alone,
it makes L from them by one 1×1 convolution, ``regions``, which the released block does not have.

``fast`` applies W_ρ to the k objects in place of the n positions, (W_ρ δ(F) + b_ρ) Aᵀ, where that takes fewer
multiplications; the bias goes through, since each row of A sums to one.

Differs from the paper: nothing it states. As in the released code, logits are divided by √K, and δ is one
layer.

Differs from the released code: ``regions``, above; its object contexts at other scales are not here.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn


def _at_least_one(name: str, value: int) -> int:
    """``value`` itself; raises ValueError where it is no integer of at least 1."""
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
    return value


class MatMul(nn.Module):
    """The product ``a @ b`` as a leaf module: a counter that hooks leaf modules misses a bare ``@``."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """(…, l, m) and (…, m, n) to (…, l, n)."""
        return a @ b  # (…, l, n)


class ConvNorm(nn.Module):
    """A 1×1 convolution, batch normalisation and ReLU: (N, C, H, W) to (N, D, H, W)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1)
        self.bn = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, D, H, W)."""
        return self.finish(self.conv(x))

    def finish(self, y: Tensor) -> Tensor:
        """What follows the convolution, of (N, D, H, W)."""
        z: Tensor = self.relu(self.bn(y))
        return z


class OCR(nn.Module):
    """Object-contextual representations: features (N, C, H, W), class logits (N, k, H, W) to (N, C, H, W).

    Args:
        channels: C.
        classes: k.
        key_channels: K; C // 2 where not given (256 of 512 as published).
        dropout: the probability of dropping a channel at the end.
        regions: whether it can make the logits itself, where it is given none; the released block cannot.
        implementation: ``"fast"`` or ``"published"``, described above.

    Raises:
        ValueError: an option out of range, or inputs that are not (N, C, H, W) and (N, k, H, W).

    """

    def __init__(
        self,
        channels: int,
        *,
        classes: int = 19,
        key_channels: int | None = None,
        dropout: float = 0.05,
        regions: bool = True,
        implementation: Literal["fast", "published"] = "fast",
    ) -> None:
        super().__init__()
        half = max(1, _at_least_one("channels", channels) // 2)
        key = half if key_channels is None else _at_least_one("key_channels", key_channels)
        if not isinstance(dropout, int | float) or not 0 <= dropout <= 1:
            raise ValueError(f"dropout must lie in [0, 1], got {dropout!r}")
        if not isinstance(regions, bool):
            raise ValueError(f"regions must be True or False, got {regions!r}")
        if implementation not in ("fast", "published"):
            raise ValueError(f"implementation must be 'fast' or 'published', got {implementation!r}")
        self.in_channels = self.out_channels = channels
        self.classes = _at_least_one("classes", classes)
        self.implementation = implementation
        self.scale = key**-0.5
        self.regions = nn.Conv2d(channels, classes, 1) if regions else None
        self.pixel = nn.Sequential(ConvNorm(channels, key), ConvNorm(key, key))
        self.object = nn.Sequential(ConvNorm(channels, key), ConvNorm(key, key))
        self.down = ConvNorm(channels, key)
        self.up = ConvNorm(key, channels)
        self.fuse = ConvNorm(2 * channels, channels)
        self.dropout = nn.Dropout2d(dropout)
        self.gather = MatMul()
        self.affinity = MatMul()
        self.aggregate = MatMul()

    def forward(self, x: Tensor, logits: Tensor | None = None) -> Tensor:
        """Features (N, C, H, W) and class logits (N, k, H, W) to (N, C, H, W).

        Without ``logits`` they are made from the features. Raises ValueError for other shapes, and where
        there are neither logits nor ``regions``.
        """
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        if logits is None:
            if self.regions is None:
                raise ValueError("with regions=False the class logits must be given")
            logits = self.regions(x)
        expected = (len(x), self.classes, *x.shape[2:])
        if logits.shape != expected:
            raise ValueError(f"expected class logits {expected}, got {tuple(logits.shape)}")
        regions = logits.flatten(2).softmax(dim=2)  # (N, k, H·W)
        objects = self.gather(x.flatten(2), regions.mT).unsqueeze(3)  # (N, C, k, 1)
        q, key = self.pixel(x).flatten(2), self.object(objects).flatten(2)  # (N, K, H·W), (N, K, k)
        attention = (self.affinity(q.mT, key) * self.scale).softmax(dim=2)  # (N, H·W, k), a row a pixel
        context = self._up(self.down(objects), attention, x.shape)  # (N, C, H, W)
        y: Tensor = self.dropout(self.fuse(torch.cat([context, x], dim=1)))  # (N, 2C, H, W) to (N, C, H, W)
        return y

    def _up(self, value: Tensor, attention: Tensor, shape: torch.Size) -> Tensor:
        """Values of the objects (N, K, k, 1) and attention (N, H·W, k) to their context (N, C, H, W)."""
        (_, positions, classes), key, channels = attention.shape, self.up.conv.in_channels, self.in_channels
        at_objects = classes * channels * (key + positions)
        if self.implementation == "fast" and at_objects < positions * key * (classes + channels):
            context = self.up.conv(value).flatten(2) @ attention.mT  # (N, C, H·W)
            return self.up.finish(context.view(shape))  # (N, C, H, W)
        context = self.aggregate(value.flatten(2), attention.mT)  # (N, K, H·W)
        y: Tensor = self.up(context.view(shape[0], key, *shape[2:]))  # (N, K, H, W) to (N, C, H, W)
        return y

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' ``SpatialOCR_Module``; ``regions`` stays as it is.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        block = "object_context_block.f_"
        layers = {"fuse.conv": "conv_bn_dropout.0", "fuse.bn": "conv_bn_dropout.1.0"}
        for name in ("down", "up"):
            layers |= {f"{name}.conv": f"{block}{name}.0", f"{name}.bn": f"{block}{name}.1.0"}
        for name in ("pixel", "object"):
            for i in (0, 1):
                layers[f"{name}.{i}.conv"] = f"{block}{name}.{2 * i}"
                layers[f"{name}.{i}.bn"] = f"{block}{name}.{2 * i + 1}.0"
        keys = {}
        for key in self.state_dict():
            layer, _, name = key.rpartition(".")
            if layer != "regions":
                keys[key] = f"{layers[layer]}.{name}"
        missing, unexpected = set(keys.values()) - set(state), set(state) - set(keys.values())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        self.load_state_dict({name: state[released] for name, released in keys.items()}, strict=False)
