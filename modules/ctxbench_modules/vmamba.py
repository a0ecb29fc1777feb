"""Two-dimensional selective scan (SS2D) of VMamba.

Yue Liu, Yunjie Tian, Yuzhong Zhao, Hongtian Yu, Lingxi Xie, Yaowei Wang, Qixiang Ye, Jianbin Jiao, Yunfan
Liu. VMamba: Visual State Space Model. NeurIPS 2024.
Paper: https://arxiv.org/abs/2401.10166
Official code: https://github.com/MzeroMiko/VMamba (MIT)

N is the batch size, C the number of channels, H×W the map, n = H·W its positions, D = 2C the inner channels,
S the states of each, R = ⌈C/16⌉ the rank of the step; no layer has a bias where none is written. X is the
input as C×n (section 4)::

    U = SiLU(F W_in X)                                     D×n    F depthwise 3×3
    for each of four directions, along rows, along columns, and both backwards, with u_t the t-th position:
        [δ_t; B_t; C_t] = W_x u_t                          R + 2S
        Δ_t = softplus(W_Δ δ_t + b_Δ)                      D
        h_t = exp(Δ_t A) ⊙ h_{t-1} + Δ_t u_t B_tᵀ          D×S    A = −exp(A_log)
        y_t = h_t C_t + E ⊙ u_t                            D
    Y = W_out LN(Σ_directions y)                           C×n

With ``gate``, W_in yields a Z beside U, F has a bias, and SiLU(Z) scales what W_out takes: the block of the
first version, which had S = 16.

The sequence is cut into about √n parts of √n steps: all parts are scanned beside each other from zero, then
their last states one after the other, and what came in is added, decayed. In exact arithmetic that is the
recurrence, in some 2√n steps in place of n.

Differs from the paper: it describes the first version; the default is that of the published networks
(``v05_noz``).

Differs from the released code: its scan is a CUDA kernel. Of its many forward types the two above are here,
and no dropout.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

_DIRECTIONS = 4

# The layers here, and what the authors call them.
_RELEASED = {
    "step_weight": "dt_projs_weight",
    "step_bias": "dt_projs_bias",
    "select": "x_proj_weight",
    "decay_log": "A_logs",
    "skip": "Ds",
    "inner": "in_proj",
    "local": "conv2d",
    "norm": "out_norm",
    "proj": "out_proj",
}


class SS2D(nn.Module):
    """Two-dimensional selective scan: (N, C, H, W) to (N, C, H, W).

    Args:
        channels: C.
        ratio: D/C.
        states: S.
        gate: with Z and a bias of the depthwise convolution, as in the first version.

    Raises:
        ValueError: an option out of range, or an input that is not (N, ``channels``, H, W).

    """

    def __init__(self, channels: int, *, ratio: float = 2, states: int = 1, gate: bool = False) -> None:
        super().__init__()
        if not isinstance(channels, int) or channels < 1:
            raise ValueError(f"channels must be an integer of at least 1, got {channels!r}")
        if not isinstance(ratio, int | float) or not 1 <= ratio * channels < math.inf:
            raise ValueError(f"ratio must be a number that leaves at least one channel, got {ratio!r}")
        if not isinstance(states, int) or states < 1:
            raise ValueError(f"states must be an integer of at least 1, got {states!r}")
        if not isinstance(gate, bool):
            raise ValueError(f"gate must be True or False, got {gate!r}")
        self.in_channels = self.out_channels = channels
        self.width, self.states, self.rank = int(ratio * channels), states, math.ceil(channels / 16)
        width = self.width
        self.select = nn.Parameter(torch.empty(_DIRECTIONS, self.rank + 2 * states, width))
        nn.init.uniform_(self.select, -(width**-0.5), width**-0.5)
        self.step_weight = nn.Parameter(torch.empty(_DIRECTIONS, width, self.rank))
        nn.init.uniform_(self.step_weight, -(self.rank**-0.5), self.rank**-0.5)
        step = torch.empty(_DIRECTIONS, width).uniform_(math.log(0.001), math.log(0.1)).exp()
        self.step_bias = nn.Parameter(step + torch.log(-torch.expm1(-step)))  # what softplus takes back
        decay = torch.arange(1, states + 1, dtype=torch.float32).log()  # (S,)
        self.decay_log = nn.Parameter(decay.repeat(_DIRECTIONS * width, 1))  # (4·D, S)
        self.skip = nn.Parameter(torch.ones(_DIRECTIONS * width))
        self.inner = nn.Conv2d(channels, 2 * width if gate else width, 1, bias=False)
        self.local = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=gate)
        self.norm = nn.LayerNorm(width)
        self.proj = nn.Conv2d(width, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        u, *z = torch.split(self.inner(x), self.width, dim=1)  # (N, D, H, W) once or twice
        y = self._scanned(functional.silu(self.local(u)))  # (N, D, H, W)
        y = self.norm(y.movedim(1, 3)).movedim(3, 1)  # (N, D, H, W)
        for gate in z:
            y = y * functional.silu(gate)
        projected: Tensor = self.proj(y)  # (N, C, H, W)
        return projected

    def _scanned(self, u: Tensor) -> Tensor:
        """The sum over directions of the scans of (N, D, H, W), of the same shape."""
        down, across = u.mT.flatten(2), u.flatten(2)  # (N, D, H·W) each
        forward = torch.stack([across, down], dim=1)  # (N, 2, D, H·W)
        sequences = torch.cat([forward, forward.flip(3)], dim=1)  # (N, 4, D, H·W)
        y = self._scan(sequences)  # (N, 4, D, H·W)
        across, down = (y[:, :2] + y[:, 2:].flip(3)).unbind(1)  # (N, D, H·W) each
        height, width = u.shape[2:]
        down = down.view(*down.shape[:2], width, height).mT  # (N, D, H, W)
        return across.view(u.shape) + down  # (N, D, H, W)

    def _scan(self, u: Tensor) -> Tensor:
        """Sequences (N, 4, D, n) to theirs of y, of the same shape."""
        sizes = [self.rank, self.states, self.states]
        steps, entry, exit_ = torch.split(self.select @ u, sizes, dim=2)  # (N, 4, R, n), (N, 4, S, n) twice
        steps = self.step_weight @ steps  # (N, 4, D, n)
        wide = torch.promote_types(u.dtype, torch.float32)  # of the recurrence
        entry, exit_, values = entry.to(wide), exit_.to(wide), u.to(wide)
        delta = functional.softplus(steps.to(wide) + self.step_bias.to(wide).unsqueeze(2))  # (N, 4, D, n)
        decay = -self.decay_log.to(wide).exp().view(_DIRECTIONS, -1, self.states)  # (4, D, S)
        y = self.skip.to(wide).view(_DIRECTIONS, -1, 1) * values  # (N, 4, D, n)
        for state in range(self.states):
            factors = (delta * decay[:, :, state, None]).exp()  # (N, 4, D, n)
            held = _recur(factors, delta * values * entry[:, :, None, state])  # (N, 4, D, n)
            y = torch.addcmul(y, held, exit_[:, :, None, state])  # (N, 4, D, n)
        return y.to(u.dtype)

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' ``SS2D``.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        own, keys = self.state_dict(), {}
        for key in own:
            layer, dot, name = key.partition(".")
            keys[key] = f"{_RELEASED[layer]}{dot}{name}"
        missing, unexpected = set(keys.values()) - set(state), set(state) - set(keys.values())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        weights = {key: state[keys[key]].reshape(own[key].shape) for key in own}  # (…) as here
        self.load_state_dict(weights)


def _recur(factors: Tensor, inputs: Tensor) -> Tensor:
    """h_t = a_t h_{t-1} + b_t along the last axis, from h_0 = 0: (…, n) and (…, n) to (…, n)."""
    n = inputs.shape[-1]
    steps = math.isqrt(n - 1) + 1  # of a part
    parts = -(-n // steps)

    def by_step(x: Tensor) -> tuple[Tensor, ...]:
        """(…, n) to a contiguous (…, parts) for each step of the parts."""
        padded = functional.pad(x, (0, parts * steps - n)) if parts * steps > n else x
        cut = padded.view(*x.shape[:-1], parts, steps)  # (…, parts, steps)
        return cut.movedim(-1, 0).contiguous().unbind()  # (…, parts) each

    of_factors, of_inputs = by_step(factors), by_step(inputs)
    held, decays = [of_inputs[0]], [of_factors[0]]  # of each step, (…, parts)
    for factor, value in zip(of_factors[1:], of_inputs[1:], strict=True):
        held.append(torch.addcmul(value, factor, held[-1]))
        decays.append(factor * decays[-1])
    carried = [torch.zeros_like(held[-1][..., 0])]  # what comes into a part, (…)
    for part in range(parts - 1):
        carried.append(torch.addcmul(held[-1][..., part], decays[-1][..., part], carried[-1]))
    came = torch.stack(carried, dim=-1)  # (…, parts)
    whole = [torch.addcmul(of, decay, came) for of, decay in zip(held, decays, strict=True)]
    return torch.stack(whole, dim=-1).flatten(-2)[..., :n]  # (…, n)
