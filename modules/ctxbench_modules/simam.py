"""SimAM, an attention without parameters.

Lingxiao Yang, Ru-Yuan Zhang, Lida Li, Xiaohua Xie. SimAM: A Simple, Parameter-Free Attention Module for
Convolutional Neural Networks. ICML 2021.
Paper: https://proceedings.mlr.press/v139/yang21o.html
Official code: https://github.com/ZjjConan/SimAM (no licence)

N is the batch size, C the number of channels, H×W the map, n = H·W its positions. For each channel, x its
values and μ their mean, both over the n positions (section 3)::

    v = Σ (x − μ)²/(n − 1)                        1     the variance
    1/e = (x − μ)²/(4(v + λ)) + 1/2               n     the importance of each position  (eq. 5)
    y = x ⊙ σ(1/e)                                n     (eq. 6)

Differs from the paper: as in the released code, the variance is divided by n − 1.

Differs from the released code: on a map of one position the variance is zero, and theirs not a number.
"""

from collections.abc import Mapping

from torch import Tensor, nn


class SimAM(nn.Module):
    """SimAM: (N, C, H, W) to (N, C, H, W), without parameters.

    Args:
        channels: C.
        e_lambda: λ, greater than 0.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(self, channels: int, *, e_lambda: float = 1e-4) -> None:
        super().__init__()
        if not isinstance(channels, int) or channels < 1:
            raise ValueError(f"channels must be an integer of at least 1, got {channels!r}")
        if not isinstance(e_lambda, int | float) or not e_lambda > 0:
            raise ValueError(f"e_lambda must be a number greater than 0, got {e_lambda!r}")
        self.in_channels = self.out_channels = channels
        self.e_lambda = e_lambda

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        squares = (x - x.mean((2, 3), keepdim=True)).square()  # (N, C, H, W)
        quarter = max(1, x.shape[2] * x.shape[3] - 1) / 4
        spread = squares.sum((2, 3), keepdim=True) / quarter + 4 * self.e_lambda  # (N, C, 1, 1), 4(v + λ)
        return x * (squares / spread + 0.5).sigmoid()

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' module, which is empty.

        Raises:
            ValueError: it is not.

        """
        if state:
            raise ValueError(f"missing keys [], unexpected keys {sorted(state)}")
