"""Squeeze-and-excitation (SE).

Jie Hu, Li Shen, Samuel Albanie, Gang Sun, Enhua Wu. Squeeze-and-Excitation Networks. CVPR 2018.
Paper: https://arxiv.org/abs/1709.01507
Official code: https://github.com/hujie-frank/SENet (Caffe). Held against a PyTorch port:
https://github.com/moskomule/senet.pytorch

N is the batch size, C the number of channels, H×W the map, n = H·W its positions, and r the reduction of the
bottleneck. X is the input as C×n (section 3)::

    z = mean over positions of X       C      squeeze     (eq. 2)
    s = σ(W₂ ReLU(W₁ z))               C      excitation  (eq. 3), W₁ C/r×C, W₂ C×C/r
    Y = s ⊙ X                          C×n    scale       (eq. 4)

Differs from the paper: nothing.

Differs from the released code: the Caffe models have biases in both layers; the port, as eq. 3, has none.
Where C < r, the bottleneck has one channel, and the port's none.
"""

from collections.abc import Mapping

from torch import Tensor, nn


def _at_least_one(name: str, value: int) -> int:
    """``value`` itself; raises ValueError where it is no integer of at least 1."""
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
    return value


class SE(nn.Module):
    """Squeeze-and-excitation block: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        reduction: r; the bottleneck has at least one channel.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(self, channels: int, *, reduction: int = 16) -> None:
        super().__init__()
        width = max(1, _at_least_one("channels", channels) // _at_least_one("reduction", reduction))
        self.in_channels = self.out_channels = channels
        self.fc = nn.Sequential(
            nn.Linear(channels, width, bias=False),
            nn.ReLU(),
            nn.Linear(width, channels, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        y: Tensor = x * self.fc(x.mean((2, 3)))[:, :, None, None]  # (N, C, 1, 1) scales (N, C, H, W)
        return y

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the port's ``SELayer``, whose names are those of this module.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        missing, unexpected = set(self.state_dict()) - set(state), set(state) - set(self.state_dict())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        self.load_state_dict(state)
