"""Expectation-maximisation attention unit (EMAU).

Xia Li, Zhisheng Zhong, Jianlong Wu, Yibo Yang, Zhouchen Lin, Hong Liu. Expectation-Maximization Attention
Networks for Semantic Segmentation. ICCV 2019.
Paper: https://arxiv.org/abs/1907.13426
Official code: https://github.com/XiaLiPKU/EMANet

N is the batch size, C the number of channels, H×W the map, n = H·W its positions, k the number of bases, T of
iterations; W₁ and W₂ are the weights of 1×1 convolutions. X is the input as C×n; the bases μ of C×k are a
buffer (section 4)::

    X' = W₁ X + b₁                                  C×n
    T times, without gradient:
        Z = softmax_bases(μᵀ X')                    k×n    responsibilities
        μ = X' Ẑᵀ,  Ẑ = Z / (10⁻⁶ + Σ_positions Z)  C×k    weighted means
        μ = μ / (10⁻⁶ + ‖μ‖₂) per basis
    X̃ = ReLU(μ Z)                                   C×n    re-estimation
    Y = ReLU(X + BN(W₂ X̃))                          C×n

In training mode each forward pass moves the buffer, μ ← m·μ + (1 − m)·mean over the batch of the final μ,
m = 0.9, not normalised again; m = 1 freezes it.

``fast`` need not form X': μᵀ(W₁X + b₁) = (W₁ᵀμ)ᵀX + μᵀb₁ and X'Ẑᵀ = W₁(XẐᵀ) + b₁·ΣẐ, so W₁ is applied to k
columns, twice an iteration, in place of n once: T k (2C² + C) multiplications in place of C²n, where that is
fewer.
In eval mode it folds the batch normalisation into W₂.

Differs from the paper: as in the released code, Z and μ carry no gradient, so the first convolution gets none
and the input's gradient flows through the skip connection alone; the factor λ of the logits is 1; and a ReLU
follows the re-estimation.

Differs from the released code: there the trainer, not the unit, moves the buffer after each forward pass, and
W₁ and b₁, which never get a gradient there, are not marked as taking none.
"""

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

_EPS = 1e-6  # the authors' guard of both divisions, the 10⁻⁶ above


def _check_positive(**values: int) -> None:
    """Raise ValueError at the first of the options that is no integer of at least 1."""
    for name, value in values.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")


def _l2_bases(mu: Tensor) -> Tensor:
    """The bases (N, C, k) divided each by its length over the C channels."""
    norm: Tensor = torch.linalg.vector_norm(mu, dim=1, keepdim=True)  # (N, 1, k)
    return mu / (_EPS + norm)


class MatMul(nn.Module):
    """The product ``a @ b`` as a leaf module: a counter that hooks leaf modules misses a bare ``@``."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """(…, l, m) and (…, m, n) to (…, l, n)."""
        return a @ b  # (…, l, n)


class EMAU(nn.Module):
    """Expectation-maximisation attention unit: (N, C, H, W) → (N, C, H, W).

    Args:
        channels: C.
        bases: k.
        iterations: T.
        momentum: m of the buffer's moving average in training mode, in [0, 1].
        implementation: ``"fast"`` or ``"published"``; same parameters, same outputs to rounding.

    Raises:
        ValueError: an option out of range, or an input that is not (N, C, H, W).

    """

    mu: Tensor

    def __init__(
        self,
        channels: int,
        *,
        bases: int = 64,
        iterations: int = 3,
        momentum: float = 0.9,
        implementation: Literal["fast", "published"] = "fast",
    ) -> None:
        super().__init__()
        _check_positive(channels=channels, bases=bases, iterations=iterations)
        if not isinstance(momentum, int | float) or not 0 <= momentum <= 1:
            raise ValueError(f"momentum must lie in [0, 1], got {momentum!r}")
        if implementation not in ("fast", "published"):
            raise ValueError(f"implementation must be 'fast' or 'published', got {implementation!r}")
        self.in_channels = self.out_channels = channels
        self.iterations = iterations
        self.momentum = momentum
        self.implementation = implementation
        self.register_buffer("mu", _l2_bases(torch.randn(1, channels, bases) * math.sqrt(2 / bases)))
        self.conv1 = nn.Conv2d(channels, channels, 1).requires_grad_(False)  # EM passes no gradient on to it
        self.conv2 = nn.Conv2d(channels, channels, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels, momentum=3e-4)
        for conv in (self.conv1, self.conv2):
            nn.init.normal_(conv.weight, std=math.sqrt(2 / channels))
        self.matmul = MatMul()

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' unit.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        released_layers = {"mu": "mu", "conv1": "conv1", "conv2": "conv2.0", "bn2": "conv2.1"}
        keys = {}
        for key in self.state_dict():
            layer, dot, name = key.partition(".")
            keys[key] = f"{released_layers[layer]}{dot}{name}"
        missing, unexpected = set(keys.values()) - set(state), set(state) - set(keys.values())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        self.load_state_dict({name: state[released] for name, released in keys.items()})

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to Y of the same shape; in training mode the buffer μ moves.

        Raises:
            ValueError: the input is not (N, ``channels``, H, W).

        """
        return self.forward_with_bases(x)[0]

    def forward_with_bases(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) to Y of the same shape and the final bases of each image, (N, C, k), without gradient.

        Raises:
            ValueError: the input is not (N, ``channels``, H, W).

        """
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        y, mu = self._fast(x) if self.implementation == "fast" else self._published(x)
        if self.training:
            with torch.no_grad():  # lerp_ moves the buffer (1, C, k) by 1 - m of the way
                self.mu.lerp_(mu.mean(dim=0, keepdim=True).to(self.mu.dtype), 1 - self.momentum)
        return y, mu

    def _published(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) to Y of the same shape and the final bases (N, C, k)."""
        features = self.conv1(x).flatten(2)  # (N, C, H·W)
        mu = self.mu.expand(len(x), -1, -1)  # (N, C, k)
        with torch.no_grad():
            for _ in range(self.iterations):
                z = self.matmul(features.transpose(1, 2), mu).softmax(dim=2)  # (N, H·W, k)
                mu = _l2_bases(self.matmul(features, z / (_EPS + z.sum(dim=1, keepdim=True))))  # (N, C, k)
        estimate = functional.relu(torch.matmul(mu, z.transpose(1, 2)).view(x.shape))  # (N, C, H, W)
        return functional.relu(self.bn2(self.conv2(estimate)) + x), mu

    @torch.no_grad()
    def _bases_and_responsibilities(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The final μ (N, C, k) and Z (N, k, H·W) of (N, C, H, W).

        W₁ is applied to the bases (``moved``) where they are the fewer columns, else to the positions.
        """
        weight, bias = self.conv1.weight.flatten(1), self.conv1.get_parameter("bias")  # (C, C), (C,)
        mu = self.mu.expand(len(x), -1, -1)  # (N, C, k)
        channels, bases = mu.shape[1:]
        moved = self.iterations * bases * (2 * channels + 1) < channels * x.shape[2] * x.shape[3]
        features = (x if moved else self.conv1(x)).flatten(2)  # (N, C, H·W)
        for _ in range(self.iterations):
            if moved:
                logits = torch.baddbmm(  # (N, k, H·W)
                    (bias @ mu).unsqueeze(2),  # (N, k, 1)
                    mu.transpose(1, 2) @ weight,  # (N, k, C)
                    features,
                )
            else:
                logits = mu.transpose(1, 2) @ features  # (N, k, H·W)
            z = logits.softmax(dim=1)  # (N, k, H·W), one over the bases
            mass = z.sum(dim=2).unsqueeze(1)  # (N, 1, k)
            # The mass divides after the product, C·k values; before it, as published, it would divide k·n.
            mu = features @ z.transpose(1, 2)  # (N, C, k)
            if moved:
                mu = weight @ mu + bias.unsqueeze(1) * mass  # (N, C, k)
            mu = _l2_bases(mu / (_EPS + mass))
        return mu, z

    def _fast(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) to Y of the same shape and the final bases (N, C, k)."""
        mu, z = self._bases_and_responsibilities(x)
        estimate = (mu @ z).relu_().view(x.shape)  # (N, C, H, W)
        return self._normalised_conv2(estimate).add_(x).relu_(), mu

    def _normalised_conv2(self, estimate: Tensor) -> Tensor:
        """BN(W₂ X̃) of (N, C, H, W), in eval mode as one convolution with the statistics folded in."""
        conv, bn = self.conv2, self.bn2
        if bn.training:
            y: Tensor = bn(conv(estimate))
            return y
        scale = bn.weight * torch.rsqrt(bn.running_var + bn.eps)  # type: ignore[operator, arg-type]
        shift = bn.bias - bn.running_mean * scale  # type: ignore[operator]
        weight = conv.weight * scale[:, None, None, None]
        if torch.is_grad_enabled():  # conv2d has the quicker backward
            return functional.conv2d(estimate, weight, shift)
        # Without gradient a product is quicker: on the CPU conv2d copies its input first.
        kernel = weight.flatten(1).expand(len(estimate), -1, -1)  # (N, C, C)
        return torch.baddbmm(shift[:, None], kernel, estimate.flatten(2)).view(estimate.shape)  # (N, C, H, W)
