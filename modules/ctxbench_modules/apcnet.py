"""Adaptive context module (ACM) and its pyramid.

Junjun He, Zhongying Deng, Lei Zhou, Yali Wang, Yu Qiao. Adaptive Pyramid Context Network for Semantic
Segmentation. CVPR 2019.
Paper: https://openaccess.thecvf.com/content_CVPR_2019/html/He_Adaptive_Pyramid_Context_Network_for_Semantic_Segmentation_CVPR_2019_paper.html
Official code: https://github.com/Junjun2016/APCNet, which is the block of mmsegmentation.

N is the batch size, C the number of channels, H×W the map, n = H·W its positions, D the width; a W with an
index is the weight of a 1×1 convolution. For a pool scale s, with X the input as C×n (section 3)::

    y  = ReLU(BN(W_y pool_s X))                          D×s²   content of the s×s sub-regions
    x' = ReLU(BN(W_x X))                                 D×n
    g  = ReLU(BN(W_g mean_positions(x')))                D×1    global information
    α  = σ(W_α (x' + g) + b_α)                           s²×n   adaptive affinity
    z  = ReLU(BN(W_z (y α)))                             D×n
    z  = ReLU(z + x')                                    D×n
    z  = ReLU(BN(W_f z))                                 D×n    only with ``fusion``

The pyramid concatenates X with the ACMs of scales 1, 2, 3, 6, and reduces them with a 3×3 convolution.

``fast`` uses W_z (y α) = (W_z y) α, so that W_z is applied to s² regions in place of n positions, and
W_α (x' + g) = W_α x' + W_α g, where together they are fewer multiplications, s² (D² + D) < D² n. It drops the
ReLU of z + x', the sum of two ReLUs, and in eval mode folds each batch normalisation into the 1×1 weights
before it.

Differs from the paper: nothing it states; the convolutions after the product (W_z and W_f), the batch
normalisations and the 3×3 are those of the released code.

Differs from the released code: in training mode a batch normalisation that sees one value per channel
(batch 1 at scale 1, and the global branch) has no batch statistics; it then uses its running ones, where
torch raises.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Implementation = Literal["fast", "published"]

# The layers here, and what the authors call them.
_RELEASED_NAMES = {
    "scales": "acm_modules",
    "pooled": "pooled_redu_conv",
    "reduced": "input_redu_conv",
    "affinity": "gla",
    "residual": "residual_conv",
    "fusion": "fusion_conv",
}


def _check_positive(**values: int) -> None:
    """Raise ValueError at the first of the options that is no integer of at least 1."""
    for name, value in values.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")


def _check_sequence(name: str, values: Sequence[int]) -> None:
    """Raise ValueError unless ``values`` is a sequence of one or more integers of at least 1."""
    if not isinstance(values, Sequence) or not values or any(not isinstance(v, int) or v < 1 for v in values):
        raise ValueError(f"{name} must be a sequence of integers of at least 1, got {values!r}")


def _check_input(x: Tensor, channels: int) -> None:
    """Raise ValueError unless ``x`` is (N, ``channels``, H, W)."""
    if x.dim() != 4 or x.shape[1] != channels:
        raise ValueError(f"expected (N, {channels}, H, W), got {tuple(x.shape)}")


def _load_released(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load the authors' state dict; raises ValueError where keys are missing or unexpected."""
    keys = {}
    for key in module.state_dict():
        keys[key] = ".".join(_RELEASED_NAMES.get(part, part) for part in key.split("."))
    missing, unexpected = set(keys.values()) - set(state), set(state) - set(keys.values())
    if missing or unexpected:
        raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
    module.load_state_dict({name: state[released] for name, released in keys.items()})


class MatMul(nn.Module):
    """The product ``a @ b`` as a leaf module: a counter that hooks leaf modules misses a bare ``@``."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """(…, l, m) and (…, m, n) to (…, l, n)."""
        return a @ b  # (…, l, n)


class ConvBN(nn.Module):
    """A convolution without bias and its batch normalisation."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def normalise(self, y: Tensor) -> Tensor:
        """(N, D, H, W) normalised; by the running statistics where a batch has one value per channel."""
        bn = self.bn
        # One value per channel has no variance, and torch raises. A SyncBatchNorm, of another class, has more
        # values on other ranks.
        if bn.training and isinstance(bn, nn.BatchNorm2d) and y.numel() == y.shape[1]:
            return functional.batch_norm(y, bn.running_mean, bn.running_var, bn.weight, bn.bias, eps=bn.eps)
        out: Tensor = bn(y)
        return out

    def folded(self) -> tuple[Tensor, Tensor]:
        """The 1×1 convolution's weight (D, C, 1, 1) and bias (D,), with the normalisation of eval mode."""
        bn = self.bn
        scale = bn.weight * torch.rsqrt(bn.running_var + bn.eps)  # type: ignore[operator, arg-type]
        shift = bn.bias - bn.running_mean * scale  # type: ignore[operator]
        return self.conv.weight * scale[:, None, None, None], shift

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, D, H, W), convolved and normalised."""
        return self.normalise(self.conv(x))

    def fused(self, x: Tensor) -> Tensor:
        """``ReLU(self(x))``, (N, C, H, W) to (N, D, H, W), in as few passes over memory as there can be.

        A kernel of more than one position is not folded: the copy of its weight would live beside the
        convolution's workspace, and is larger than the maps that one pass less would save.
        """
        if self.bn.training or self.conv.kernel_size != (1, 1):
            return self.normalise(self.conv(x)).relu_()
        return functional.conv2d(x, *self.folded()).relu_()


class ACM(nn.Module):
    """Adaptive context module at one pool scale: (N, C, H, W) → (N, ``width``, H, W).

    Args:
        channels: C.
        width: D; C // 4 by default (512 of 2048 channels as published).
        pool_scale: s, the number of sub-regions along each axis.
        fusion: end with a 1×1 convolution, batch normalisation and ReLU.
        implementation: ``"fast"`` or ``"published"``; same parameters, same outputs to rounding.

    Raises:
        ValueError: an option out of range, or an input that is not (N, C, H, W).

    """

    def __init__(
        self,
        channels: int,
        *,
        width: int | None = None,
        pool_scale: int = 1,
        fusion: bool = True,
        implementation: Implementation = "fast",
    ) -> None:
        super().__init__()
        _check_positive(channels=channels, pool_scale=pool_scale)
        width = max(1, channels // 4) if width is None else width
        _check_positive(width=width)
        if implementation not in ("fast", "published"):
            raise ValueError(f"implementation must be 'fast' or 'published', got {implementation!r}")
        self.in_channels = channels
        self.out_channels = width
        self.implementation = implementation
        self.pool = nn.AdaptiveAvgPool2d((pool_scale, pool_scale))
        self.pooled = ConvBN(channels, width)
        self.reduced = ConvBN(channels, width)
        self.global_pool = nn.AdaptiveAvgPool2d((1, 1))
        self.global_info = ConvBN(width, width)
        self.affinity = nn.Conv2d(width, pool_scale**2, 1)
        self.residual = ConvBN(width, width)
        self.fusion = ConvBN(width, width) if fusion else None
        self.matmul = MatMul()
        self.relu = nn.ReLU()

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' block.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        _load_released(self, state)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the context features (N, ``width``, H, W).

        Raises:
            ValueError: the input is not (N, ``channels``, H, W).

        """
        _check_input(x, self.in_channels)
        return self._fast(x) if self.implementation == "fast" else self._published(x)

    def _published(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, D, H, W)."""
        y = self.relu(self.pooled(self.pool(x))).flatten(2)  # (N, D, s²)
        x = self.relu(self.reduced(x))  # (N, D, H, W), the x' above
        g = self.relu(self.global_info(self.global_pool(x)))  # (N, D, 1, 1)
        affinity = torch.sigmoid(self.affinity(x + g).flatten(2).transpose(1, 2))  # (N, H·W, s²)
        z = self.matmul(affinity, y.transpose(1, 2)).transpose(1, 2).reshape(x.shape)  # (N, D, H, W)
        z = self.relu(self.residual(z))
        out: Tensor = self.relu(z + x)
        return out if self.fusion is None else self.relu(self.fusion(out))

    def _fast(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, D, H, W), by the quicker of two orders."""
        y = self.pooled.fused(self.pool(x)).flatten(2)  # (N, D, s²)
        x = self.reduced.fused(x)  # (N, D, H, W)
        g = self.global_info.fused(x.mean((2, 3), keepdim=True))  # (N, D, 1, 1)
        if y.shape[2] * (self.out_channels + 1) < self.out_channels * x.shape[2] * x.shape[3]:
            z = self._reordered(x, y, g)
        else:
            affinity = self.affinity(x + g).flatten(2).sigmoid_()  # (N, s², H·W)
            z = self.residual.fused((y @ affinity).view(x.shape))  # (N, D, H, W)
        # Both are outputs of a ReLU, so that the published third one changes nothing.
        z = z + x if torch.is_grad_enabled() else z.add_(x)
        return z if self.fusion is None else self.fusion.fused(z)

    def _reordered(self, x: Tensor, y: Tensor, g: Tensor) -> Tensor:
        """The first z (N, D, H, W) of x' (N, D, H, W), y (N, D, s²) and g (N, D, 1, 1).

        W_z is applied to the s² regions and W_α to g alone, whose product is added to the logits.
        """
        weight = self.affinity.weight.flatten(1).expand(len(x), -1, -1)  # (N, s², D)
        affinity = torch.baddbmm(  # (N, s², H·W)
            self.affinity(g).flatten(2),  # (N, s², 1)
            weight,
            x.flatten(2),  # (N, D, H·W)
        ).sigmoid_()
        if self.residual.bn.training:
            z = self.residual.normalise(
                (self.residual.conv.weight.flatten(1) @ y @ affinity).view(x.shape)  # (N, D, H, W)
            )
        else:
            weight, shift = self.residual.folded()
            z = torch.baddbmm(shift[:, None], weight.flatten(1) @ y, affinity).view(x.shape)  # (N, D, H, W)
        return z.relu_()


class ACMPyramid(nn.Module):
    """ACMs of several pool scales beside each other, with X: (N, C, H, W) → (N, ``out_channels``, H, W).

    Args:
        channels: C.
        width: D of each ACM; C // 4 by default (512 of 2048 channels as published).
        pool_scales: s of each ACM.
        fusion: end each ACM with a 1×1 convolution, batch normalisation and ReLU.
        bottleneck: reduce the concatenation to ``width`` channels with a 3×3 convolution, batch
            normalisation and ReLU; without it the concatenation of X and the ACMs is returned,
            C + len(pool_scales)·width channels.
        implementation: ``"fast"`` or ``"published"``; same parameters, same outputs to rounding.

    Raises:
        ValueError: an option out of range, or an input that is not (N, C, H, W).

    """

    def __init__(
        self,
        channels: int,
        *,
        width: int | None = None,
        pool_scales: Sequence[int] = (1, 2, 3, 6),
        fusion: bool = True,
        bottleneck: bool = True,
        implementation: Implementation = "fast",
    ) -> None:
        super().__init__()
        _check_sequence("pool_scales", pool_scales)
        self.scales = nn.ModuleList(
            ACM(channels, width=width, pool_scale=scale, fusion=fusion, implementation=implementation)
            for scale in pool_scales
        )
        width = max(1, channels // 4) if width is None else width
        concatenated = channels + len(pool_scales) * width
        self.in_channels = channels
        self.out_channels = width if bottleneck else concatenated
        self.implementation = implementation
        self.bottleneck = ConvBN(concatenated, width, kernel_size=3) if bottleneck else None
        self.relu = nn.ReLU()

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' block.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        _load_released(self, state)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the pyramid's features (N, ``out_channels``, H, W).

        Raises:
            ValueError: the input is not (N, ``channels``, H, W).

        """
        _check_input(x, self.in_channels)
        z = torch.cat([x, *(scale(x) for scale in self.scales)], dim=1)  # (N, C + len(pool_scales)·D, H, W)
        if self.bottleneck is None:
            return z
        return self.bottleneck.fused(z) if self.implementation == "fast" else self.relu(self.bottleneck(z))
