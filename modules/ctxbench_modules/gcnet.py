"""Global context block of GCNet.

Yue Cao, Jiarui Xu, Stephen Lin, Fangyun Wei, Han Hu. GCNet: Non-Local Networks Meet Squeeze-Excitation
Networks and Beyond. ICCV Workshops 2019.
Paper: https://arxiv.org/abs/1904.11492
Official code: https://github.com/xvjiarui/GCNet (Apache-2.0)

N is the batch size, C the number of channels, H×W the map, n = H·W its positions, and r the reduction of the
bottleneck; a W with an index is the weight of a 1×1 convolution, b its bias. X is the input as C×n (section
3.3, figure 4d)::

    a = softmax over positions of W_k X + b_k            n      W_k 1×C
    c = X aᵀ                                             C      context, one for all positions
    t = W_2 ReLU(LN(W_1 c + b_1)) + b_2                  C      W_1 C/r×C, W_2 C×C/r, LN over the C/r channels
    Y = X + t at each position                           C×n    (eq. 5)

With ``fusion="multiply"`` Y = X ⊙ σ(t), with ``"both"`` Y = X ⊙ σ(t') + t, t' of a transform of its own. With
``pooling="average"`` c is the mean over the positions. W_2 and b_2 start at zero, so that adding starts as
the identity and multiplying as half of it.

Differs from the paper: nothing.

Differs from the released code: nothing. Where C < r, the bottleneck has one channel, and theirs none.
"""

from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional


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


class Transform(nn.Sequential):
    """The bottleneck: (N, C, 1, 1) to the same shape, zero at the start."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(
            nn.Conv2d(channels, width, 1),
            nn.LayerNorm([width, 1, 1]),
            nn.ReLU(),
            nn.Conv2d(width, channels, 1),
        )
        nn.init.zeros_(self[3].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self[3].bias)  # type: ignore[arg-type]


class GlobalContext(nn.Module):
    """Global context block: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        reduction: r; the bottleneck has at least one channel. The authors release 16 and 4.
        pooling: ``"attention"`` or ``"average"`` over the positions.
        fusion: the transformed context is added (``"add"``), multiplied as a gate (``"multiply"``), or both.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(
        self,
        channels: int,
        *,
        reduction: int = 16,
        pooling: Literal["attention", "average"] = "attention",
        fusion: Literal["add", "multiply", "both"] = "add",
    ) -> None:
        super().__init__()
        width = max(1, _at_least_one("channels", channels) // _at_least_one("reduction", reduction))
        if pooling not in ("attention", "average"):
            raise ValueError(f"pooling must be 'attention' or 'average', got {pooling!r}")
        if fusion not in ("add", "multiply", "both"):
            raise ValueError(f"fusion must be 'add', 'multiply' or 'both', got {fusion!r}")
        self.in_channels = self.out_channels = channels
        self.mask = nn.Conv2d(channels, 1, 1) if pooling == "attention" else None
        if self.mask is not None:
            nn.init.kaiming_normal_(self.mask.weight, mode="fan_in", nonlinearity="relu")
            nn.init.zeros_(self.mask.bias)  # type: ignore[arg-type]
        self.pool = MatMul()
        self.add = None if fusion == "multiply" else Transform(channels, width)
        self.multiply = None if fusion == "add" else Transform(channels, width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        context = self._context(x)
        y = x if self.multiply is None else x * self.multiply(context).sigmoid()  # (N, C, H, W)
        return y if self.add is None else y + self.add(context)  # (N, C, H, W)

    def _context(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the pooled context (N, C, 1, 1)."""
        if self.mask is None:
            return x.mean((2, 3), keepdim=True)
        attention = functional.softmax(self.mask(x).flatten(2), dim=2)  # (N, 1, H·W)
        context: Tensor = self.pool(x.flatten(2), attention.mT).unsqueeze(3)  # (N, C, 1, 1)
        return context

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' ``ContextBlock``.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        layers = {"mask": "conv_mask", "add": "channel_add_conv", "multiply": "channel_mul_conv"}
        keys = {}
        for key in self.state_dict():
            layer, _, name = key.partition(".")
            keys[key] = f"{layers[layer]}.{name}"
        missing, unexpected = set(keys.values()) - set(state), set(state) - set(keys.values())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        self.load_state_dict({name: state[released] for name, released in keys.items()})
