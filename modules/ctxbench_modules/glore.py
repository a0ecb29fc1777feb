"""Graph-based global reasoning unit (GloRe).

Yunpeng Chen, Marcus Rohrbach, Zhicheng Yan, Shuicheng Yan, Jiashi Feng, Yannis Kalantidis. Graph-Based Global
Reasoning Networks. CVPR 2019.
Paper: https://arxiv.org/abs/1811.12814
Official code: https://github.com/facebookresearch/GloRe (MIT)

N is the batch size, C the number of channels, H×W the map, n = H·W its positions, d the nodes of the graph, S
= 2 d the channels of a node's state; a W with an index is the weight of a 1×1 convolution, b its bias. X is
the input as C×n (section 3)::

    B = W_p X + b_p                              d×n    projection, and the way back
    V = (W_s X + b_s) Bᵀ / n                     S×d    states of the nodes
    G = W_g ReLU(V + V A_gᵀ + 1 b_aᵀ)            S×d    graph convolution, A_g d×d, W_g S×S
    Y = X + BN(W_e G B)                          C×n    extension

``fast`` projects the input in place of the states, V = (W_s (X Bᵀ) + b_s (B 1)ᵀ) / n, and extends the nodes
in place of the positions, (W_e G) B: W_s and W_e meet d columns in place of n. It does either where that
takes fewer multiplications. In eval mode it folds the batch normalisation into W_e.

Differs from the paper: as in the released code, a ReLU stands within the graph convolution, whose Laplacian I
− A has its sign in A_g.

Differs from the released code: it has no default of d; 64 is taken here, and at most C // 2. The authors'
comment says that the last batch normalisation "should be zero initialised"; as their class, this one leaves
it at one.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

_RELEASED = {
    "state": "conv_state",
    "project": "conv_proj",
    "among_nodes": "gcn.conv1",
    "among_states": "gcn.conv2",
    "extend": "conv_extend",
    "bn": "blocker",
}


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


class GloRe(nn.Module):
    """Global reasoning unit: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        nodes: d; 64 or, where that is fewer, C // 2. A node's state has 2 d channels.
        normalize: divide the states by the n positions.
        implementation: ``"fast"`` or ``"published"``, described above.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(
        self,
        channels: int,
        *,
        nodes: int | None = None,
        normalize: bool = True,
        implementation: Literal["fast", "published"] = "fast",
    ) -> None:
        super().__init__()
        _at_least_one("channels", channels)
        nodes = max(1, min(64, channels // 2)) if nodes is None else _at_least_one("nodes", nodes)
        if not isinstance(normalize, bool):
            raise ValueError(f"normalize must be True or False, got {normalize!r}")
        if implementation not in ("fast", "published"):
            raise ValueError(f"implementation must be 'fast' or 'published', got {implementation!r}")
        self.in_channels = self.out_channels = channels
        self.normalize = normalize
        self.implementation = implementation
        states = 2 * nodes
        self.state = nn.Conv2d(channels, states, 1)
        self.project = nn.Conv2d(channels, nodes, 1)
        self.among_nodes = nn.Conv1d(nodes, nodes, 1)
        self.among_states = nn.Conv1d(states, states, 1, bias=False)
        self.extend = nn.Conv2d(states, channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(channels, eps=1e-4)
        self.to_nodes = MatMul()
        self.to_positions = MatMul()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        return x + (self._fast(x) if self.implementation == "fast" else self._published(x))

    def _published(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to what is added to it, of the same shape."""
        projection = self.project(x).flatten(2)  # (N, d, H·W)
        states = self.to_nodes(self.state(x).flatten(2), projection.mT)  # (N, S, d)
        states = self._reasoned(states, positions=projection.shape[2])
        back = self.to_positions(states, projection)  # (N, S, H·W)
        y: Tensor = self.bn(self.extend(back.view(len(x), -1, *x.shape[2:])))  # (N, S, H, W) to (N, C, H, W)
        return y

    def _reasoned(self, states: Tensor, positions: int) -> Tensor:
        """The nodes' summed states (N, S, d) to those after the graph convolution, of the same shape."""
        if self.normalize:
            states = states / positions
        hidden = self.among_nodes(states.mT).mT + states  # (N, d, S) and back to (N, S, d)
        y: Tensor = self.among_states(hidden.relu())  # (N, S, d)
        return y

    def _fast(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to what is added to it, W_s and W_e at the nodes where that is quicker."""
        channels, (states, nodes) = self.in_channels, (self.extend.in_channels, self.project.out_channels)
        projection = self.project(x).flatten(2)  # (N, d, H·W)
        positions = projection.shape[2]
        at_nodes = channels * nodes * positions + states * (channels + 1) * nodes
        if at_nodes < states * (channels + nodes) * positions:
            seen = x.flatten(2) @ projection.mT  # (N, C, d)
            bias = self.state.get_parameter("bias")[:, None] * projection.sum(2, keepdim=True).mT  # (N, S, d)
            of_state = self.state.weight.flatten(1).expand(len(x), -1, -1)  # (N, S, C)
            summed = torch.baddbmm(bias, of_state, seen)  # (N, S, d)
        else:
            summed = self.state(x).flatten(2) @ projection.mT  # (N, S, d)
        reasoned = self._reasoned(summed, positions)  # (N, S, d)
        weight, bn = self.extend.weight.flatten(1), self.bn  # (C, S)
        shift = None
        if not bn.training:
            scale = bn.weight * torch.rsqrt(bn.running_var + bn.eps)  # type: ignore[operator, arg-type]
            weight = weight * scale[:, None]
            shift = (bn.bias - bn.running_mean * scale)[:, None]  # type: ignore[operator]  # (C, 1)
        if channels * nodes * (states + positions) < states * (channels + nodes) * positions:
            left, right = weight @ reasoned, projection  # (N, C, d), (N, d, H·W)
        else:
            left, right = weight.expand(len(x), -1, -1), reasoned @ projection  # (N, C, S), (N, S, H·W)
        if shift is not None:
            return torch.baddbmm(shift, left, right).view(x.shape)  # (N, C, H, W)
        y: Tensor = bn((left @ right).view(x.shape))  # (N, C, H, W)
        return y

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' ``GloRe_Unit_2D``.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        keys = {}
        for key in self.state_dict():
            layer, _, name = key.partition(".")
            keys[key] = f"{_RELEASED[layer]}.{name}"
        missing, unexpected = set(keys.values()) - set(state), set(state) - set(keys.values())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        self.load_state_dict({name: state[released] for name, released in keys.items()})
