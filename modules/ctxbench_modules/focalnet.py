"""Focal modulation.

Jianwei Yang, Chunyuan Li, Xiyang Dai, Jianfeng Gao. Focal Modulation Networks. NeurIPS 2022.
Paper: https://arxiv.org/abs/2203.11926
Official code: https://github.com/microsoft/FocalNet (MIT)

N is the batch size, C the number of channels, H×W the map, L the levels; the W are 1×1 convolutions. X is the
input; ℓ = 1…L::

    Q = W_q X + b_q,  Z₀ = W_z X + b_z          C×H×W
    G = W_g X + b_g                             (L+1)×H×W, a gate a level and one for the whole map
    Z_ℓ = GELU(D_ℓ Z_{ℓ−1})                     C×H×W    D_ℓ depthwise, of side k + 2(ℓ−1), without bias
    Z_{L+1} = GELU(mean over positions of Z_L)  C×1×1
    M = W_m (Σ_{ℓ=1…L+1} G_ℓ ⊙ Z_ℓ) + b_m       C×H×W    the modulator
    Y = W_o (Q ⊙ M) + b_o                       C×H×W

With ``average`` the sum over the levels is divided by L+1; with ``norm`` Q ⊙ M is normalised over its
channels by a layer normalisation.

Differs from the paper: nothing.

Differs from the released code: ``levels`` and ``window`` have no defaults there; here they are those of its
networks with the larger receptive field. The factor of the sides' growth, 2, is no option.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

# The layers here, and what the authors call them.
_RELEASED = {"project_in": "f", "modulator": "h", "project_out": "proj", "norm": "ln"}


class FocalModulation(nn.Module):
    """Focal modulation: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        levels: L.
        window: k, odd.
        average: divide the gated sum by L+1.
        norm: normalise the modulated queries.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(
        self, channels: int, *, levels: int = 3, window: int = 3, average: bool = False, norm: bool = False
    ) -> None:
        super().__init__()
        if not isinstance(channels, int) or channels < 1:
            raise ValueError(f"channels must be an integer of at least 1, got {channels!r}")
        if not isinstance(levels, int) or levels < 1:
            raise ValueError(f"levels must be an integer of at least 1, got {levels!r}")
        if not isinstance(window, int) or window < 1 or window % 2 == 0:
            raise ValueError(f"window must be an odd integer of at least 1, got {window!r}")
        for name, value in (("average", average), ("norm", norm)):
            if not isinstance(value, bool):
                raise ValueError(f"{name} must be True or False, got {value!r}")
        self.in_channels = self.out_channels = channels
        self.average = average
        self.project_in = nn.Conv2d(channels, 2 * channels + levels + 1, 1)
        self.modulator = nn.Conv2d(channels, channels, 1)
        self.project_out = nn.Conv2d(channels, channels, 1)
        self.levels = nn.ModuleList(
            nn.Conv2d(channels, channels, side, padding=side // 2, groups=channels, bias=False)
            for side in range(window, window + 2 * levels, 2)
        )
        self.norm = nn.LayerNorm(channels) if norm else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        sizes = [self.in_channels, self.in_channels, len(self.levels) + 1]
        q, z, gates = torch.split(self.project_in(x), sizes, dim=1)  # (N, C, H, W) twice, (N, L+1, H, W)
        total = torch.zeros_like(q)  # (N, C, H, W)
        for i, level in enumerate(self.levels):
            z = functional.gelu(level(z))  # (N, C, H, W)
            total = torch.addcmul(total, z, gates[:, i : i + 1])
        whole = functional.gelu(z.mean((2, 3), keepdim=True))  # (N, C, 1, 1)
        total = torch.addcmul(total, whole, gates[:, -1:])
        if self.average:
            total = total / (len(self.levels) + 1)
        modulated = q * self.modulator(total)  # (N, C, H, W)
        if self.norm is not None:
            modulated = self.norm(modulated.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # (N, C, H, W)
        y: Tensor = self.project_out(modulated)  # (N, C, H, W)
        return y

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' module.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        own, keys = self.state_dict(), {}
        for key in own:
            layer, _, name = key.partition(".")
            if layer == "levels":
                keys[key] = f"focal_layers.{name.replace('.', '.0.')}"
            else:
                keys[key] = f"{_RELEASED[layer]}.{name}"
        missing, unexpected = set(keys.values()) - set(state), set(state) - set(keys.values())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        weights = {key: state[keys[key]].reshape(own[key].shape) for key in own}  # (…) as here
        self.load_state_dict(weights)
