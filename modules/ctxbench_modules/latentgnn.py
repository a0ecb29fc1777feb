"""Latent graph neural network for non-local relations (LatentGNN).

Songyang Zhang, Shipeng Yan, Xuming He. LatentGNN: Learning Efficient Non-local Relations for Visual
Recognition. ICML 2019.
Paper: https://arxiv.org/abs/1905.11634
Official code: https://github.com/latentgnn/LatentGNN-V1-PyTorch

N is the batch size, C the number of channels, H×W the map, n = H·W its positions, C' = C // stride the
reduced channels; kernels t = 1…T have d_t latent nodes; D are the channels a layer puts out; a W with an
index is the weight of a 1×1 convolution. X is the input as C×n; L2 divides by the norm over the axis it names
(section 3)::

    U  = L2_channels(BN(W_d X))             C'×n   U' likewise with its own weights; symmetric: U' = U
    Ψ  = L2_positions(ReLU(BN(W_ψ U)))      d×n    visible to latent; symmetric: Ψ = Ψ'
    Ψ' = L2_nodes(ReLU(BN(W_ψ' U')))        d×n    latent to visible
    Z  = Ψ Uᵀ                               d×C'
    Z  = softmax(Ẑ Ẑᵀ) Z,  Ẑ = L2_channels(Z)      message passing among the latent nodes
    M_t = Zᵀ Ψ'                             C'×n   with ``graph_conv``: ReLU(BN(W_g M_t))
    Y  = X + γ BN(W_up merge_t(M_t))        C×n    no convolution has a bias; γ starts at zero

``fast`` uses W_g (Zᵀ Ψ') = (W_g Zᵀ) Ψ' where d < n and, without ``graph_conv``, W_up (Zᵀ Ψ') = (W_up Zᵀ) Ψ',
so that the convolutions are applied to d nodes in place of n positions; the latter where C d (C' + n)
multiplications, with d = Σ d_t, are fewer than C' d n + C M n, M the channels of the merged M_t. It scales Z
in place of Ψ, and in eval mode it folds each batch normalisation into the weights before it.

Differs from the paper: kernels are merged by concatenation, as released; ``merge="sum"`` is the paper's
mixture of kernels.

Differs from the released code: ``merge="sum"`` is not in it; its defaults are one kernel and stride 4, here
those of its example; its options to leave out the residual and to normalise otherwise are not here.
"""

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

_EPS = 1e-12


def _check_positive(**values: int) -> None:
    """Raise ValueError at the first of the options that is no integer of at least 1."""
    for name, value in values.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")


def _check_sequence(name: str, values: Sequence[int]) -> None:
    """Raise ValueError unless ``values`` is a sequence of one or more integers of at least 1."""
    if not isinstance(values, Sequence) or not values or any(not isinstance(v, int) or v < 1 for v in values):
        raise ValueError(f"{name} must be a sequence of integers of at least 1, got {values!r}")


def _inverse_norm(x: Tensor, dim: int) -> Tensor:
    """1 / max(‖x‖₂, ε) over ``dim``, which is kept with length 1.

    Along a strided axis the sum of squares is quicker than ``torch.linalg.vector_norm``.
    """
    return x.square().sum(dim=dim, keepdim=True).clamp_min(_EPS**2).rsqrt()


def _cat(tensors: list[Tensor], dim: int) -> Tensor:
    """Concatenate, without the copy ``torch.cat`` makes of a single tensor."""
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors, dim=dim)  # (…, the sum over ``dim``, …)


class MatMul(nn.Module):
    """The product ``a @ b`` as a leaf module: a counter that hooks leaf modules misses a bare ``@``."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """(…, l, m) and (…, m, n) to (…, l, n)."""
        return a @ b  # (…, l, n)


class ConvBN(nn.Module):
    """A 1×1 convolution without bias, its batch normalisation and, where asked for, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, *, relu: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU() if relu else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, D, H, W)."""
        y: Tensor = self.bn(self.conv(x))
        return y if self.relu is None else self.relu(y)

    def folded(self) -> tuple[Tensor, Tensor]:
        """The weight (D, C) and the bias (D,) that include the normalisation in eval mode."""
        bn = self.bn
        scale = bn.weight * torch.rsqrt(bn.running_var + bn.eps)  # type: ignore[operator, arg-type]
        shift = bn.bias - bn.running_mean * scale  # type: ignore[operator]
        return self.conv.weight.flatten(1) * scale[:, None], shift  # (D, C), (D,)

    def fused(self, x: Tensor) -> Tensor:
        """The same as calling the module, (N, C, H, W) to (N, D, H, W), in the fewest passes over memory."""
        if self.bn.training:
            y: Tensor = self.bn(self.conv(x))
        else:
            weight, bias = self.folded()
            y = functional.conv2d(x, weight[:, :, None, None], bias)
        return y if self.relu is None else y.relu_()

    def of_product(self, a: Tensor, b: Tensor, size: torch.Size) -> Tensor:
        """``self(a @ b)`` of (N, C, d) and (N, d, n), n = H·W, as (N, D, H, W)."""
        if a.shape[2] >= b.shape[2]:  # as many nodes as positions: nothing is saved at the nodes
            return self.fused((a @ b).view(len(a), -1, *size))  # (N, C, H, W) to (N, D, H, W)
        if self.bn.training:
            y: Tensor = self.bn(
                (self.conv.weight.flatten(1) @ a @ b).view(len(a), -1, *size)  # (N, D, H, W)
            )
        else:
            weight, bias = self.folded()
            y = torch.baddbmm(bias[:, None], weight @ a, b).view(len(a), -1, *size)  # (N, D, H, W)
        return y if self.relu is None else y.relu_()


class Kernel(nn.Module):
    """One latent graph: the projections onto its d nodes and, with ``graph_conv``, what follows it."""

    def __init__(self, channels: int, latent_dim: int, *, symmetric: bool, graph_conv: bool) -> None:
        super().__init__()
        self.to_latent = None if symmetric else ConvBN(channels, latent_dim, relu=True)
        self.to_visible = ConvBN(channels, latent_dim, relu=True)
        self.graph_conv = ConvBN(channels, channels, relu=True) if graph_conv else None
        if self.graph_conv is not None:
            nn.init.normal_(self.graph_conv.conv.weight, std=0.01)


class LatentGNN(nn.Module):
    """Latent graph neural network: (N, C, H, W) → (N, C, H, W).

    Args:
        channels: C.
        latent_dims: d_t, the latent nodes of each kernel.
        stride: C / C', the channel reduction; C' is at least 1.
        symmetric: one projection for both ways between positions and latent nodes.
        graph_conv: end each kernel with a 1×1 convolution, batch normalisation and ReLU (as published
            for detection, with ``latent_dims=(150,)``).
        merge: ``"concat"`` (as released) or ``"sum"`` of the kernels' outputs.
        implementation: ``"fast"`` or ``"published"``; same parameters, same outputs to rounding.

    Raises:
        ValueError: an option out of range, or an input that is not (N, C, H, W).

    """

    def __init__(
        self,
        channels: int,
        *,
        latent_dims: Sequence[int] = (100, 100),
        stride: int = 8,
        symmetric: bool = False,
        graph_conv: bool = False,
        merge: Literal["concat", "sum"] = "concat",
        implementation: Literal["fast", "published"] = "fast",
    ) -> None:
        super().__init__()
        _check_positive(channels=channels, stride=stride)
        _check_sequence("latent_dims", latent_dims)
        if merge not in ("concat", "sum"):
            raise ValueError(f"merge must be 'concat' or 'sum', got {merge!r}")
        if implementation not in ("fast", "published"):
            raise ValueError(f"implementation must be 'fast' or 'published', got {implementation!r}")
        self.in_channels = self.out_channels = channels
        self.merge = merge
        self.implementation = implementation
        reduced = max(1, channels // stride)
        self.down_to_latent = None if symmetric else ConvBN(channels, reduced)
        self.down = ConvBN(channels, reduced)
        self.kernels = nn.ModuleList(
            Kernel(reduced, latent_dim, symmetric=symmetric, graph_conv=graph_conv)
            for latent_dim in latent_dims
        )
        merged = reduced * len(latent_dims) if merge == "concat" else reduced
        self.up = ConvBN(merged, channels)
        self.gamma = nn.Parameter(torch.zeros(1))
        self.matmul = MatMul()
        self.nodes = sum(latent_dims)
        self.graph_conv = graph_conv

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the authors' block.

        Raises:
            ValueError: keys are missing or unexpected.

        """
        symmetric = self.down_to_latent is None
        released_parts = {
            "kernels": "LatentGNN_Kernel",
            "down_to_latent": "down_channel_v2l",
            "down": "down_channel" if symmetric else "down_channel_l2v",
            "to_latent": "psi_v2l",
            "to_visible": "psi" if symmetric else "psi_l2v",
            "graph_conv": "GraphConvWeight",
            "up": "up_channel",
            "conv": "0",
            "bn": "1",
        }
        keys = {}
        for key in self.state_dict():
            released = ".".join(released_parts.get(part, part) for part in key.split("."))
            keys[key] = released.replace("LatentGNN_Kernel.", "LatentGNN_Kernel_")
        missing, unexpected = set(keys.values()) - set(state), set(state) - set(keys.values())
        if missing or unexpected:
            raise ValueError(f"missing keys {sorted(missing)}, unexpected keys {sorted(unexpected)}")
        self.load_state_dict({name: state[released] for name, released in keys.items()})

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        return self._fast(x) if self.implementation == "fast" else self._published(x)

    def _published(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        to_latent = None
        if self.down_to_latent is not None:
            to_latent = functional.normalize(self.down_to_latent(x), dim=1)  # (N, C', H, W), the U above
        to_visible = functional.normalize(self.down(x), dim=1)  # (N, C', H, W), the U' above
        maps = [
            self._published_kernel(kernel, to_latent, to_visible)
            for kernel in cast(Sequence[Kernel], self.kernels)
        ]
        y: Tensor = x + self.up(self._merge(maps)) * self.gamma
        return y

    def _merge(self, maps: list[Tensor]) -> Tensor:
        """The T maps (N, C', H, W) concatenated, (N, T·C', H, W), or summed, (N, C', H, W)."""
        return _cat(maps, dim=1) if self.merge == "concat" else reduce(torch.add, maps)  # (N, M, H, W)

    def _published_kernel(self, kernel: Kernel, to_latent: Tensor | None, to_visible: Tensor) -> Tensor:
        """M_t (N, C', H, W) of U and U' (N, C', H, W); U is None where it is U'."""
        psi_visible = functional.normalize(kernel.to_visible(to_visible).flatten(2), dim=1)  # (N, d, H·W)
        if kernel.to_latent is None or to_latent is None:
            psi, features = psi_visible, to_visible
        else:
            psi = functional.normalize(kernel.to_latent(to_latent).flatten(2), dim=2)  # (N, d, H·W)
            features = to_latent
        # Zᵀ, not Z: from Z = Ψ Uᵀ the batch normalisation before U would get a gradient with transposed
        # strides, which its backward on the CPU misreads at batch 1 (torch 2.13).
        z = self.matmul(features.flatten(2), psi.transpose(1, 2))  # (N, C', d)
        direction = functional.normalize(z, dim=1)  # (N, C', d), Ẑᵀ
        affinity = torch.softmax(self.matmul(direction.transpose(1, 2), direction), dim=2)  # (N, d, d)
        z = self.matmul(z, affinity.transpose(1, 2))  # (N, C', d)
        out: Tensor = self.matmul(z, psi_visible).view(to_visible.shape)  # (N, C', H, W)
        if kernel.graph_conv is not None:
            out = kernel.graph_conv(out)
        return out

    def _fast(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; W_up at the latent nodes where it costs less there."""
        if self._absorbs(x.shape[2] * x.shape[3]):
            return self._absorbed(x, self._graphs(x))
        return torch.addcmul(x, self.gamma, self.up.fused(self._merge(self._maps(x))))

    def _fast_projections(self, x: Tensor) -> tuple[Tensor | None, Tensor]:
        """U, None where it is U', and U' (N, C', H, W)."""
        to_visible = self.down.fused(x)
        to_visible = to_visible * _inverse_norm(to_visible, 1)  # (N, C', H, W)
        if self.down_to_latent is None:
            return None, to_visible
        to_latent = self.down_to_latent.fused(x)
        return to_latent * _inverse_norm(to_latent, 1), to_visible  # (N, C', H, W) each

    def _graphs(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Of each kernel Zᵀ (N, C', d) and Ψ' (N, d, H·W)."""
        to_latent, to_visible = self._fast_projections(x)
        kernels = cast(Sequence[Kernel], self.kernels)
        return [self._fast_kernel(kernel, to_latent, to_visible) for kernel in kernels]

    def _maps(self, x: Tensor) -> list[Tensor]:
        """Of each kernel M_t (N, C', H, W); its Ψ' is gone before the next kernel's comes."""
        to_latent, to_visible = self._fast_projections(x)
        kernels = cast(Sequence[Kernel], self.kernels)
        return [self._fast_map(kernel, to_latent, to_visible) for kernel in kernels]

    def _absorbs(self, positions: int) -> bool:
        """Whether W_up costs less at the latent nodes than at the ``positions`` of the map."""
        channels, reduced, merged = self.in_channels, self.down.conv.out_channels, self.up.conv.in_channels
        absorbed = channels * self.nodes * (reduced + positions)
        return not self.graph_conv and absorbed < (reduced * self.nodes + channels * merged) * positions

    def _fast_map(self, kernel: Kernel, to_latent: Tensor | None, to_visible: Tensor) -> Tensor:
        """M_t (N, C', H, W), of U and U' (N, C', H, W)."""
        z, psi = self._fast_kernel(kernel, to_latent, to_visible)
        if kernel.graph_conv is None:
            return (z @ psi).view(to_visible.shape)  # (N, C', H, W)
        return kernel.graph_conv.of_product(z, psi, to_visible.shape[2:])  # (N, C', H, W)

    @staticmethod
    def _fast_kernel(kernel: Kernel, to_latent: Tensor | None, to_visible: Tensor) -> tuple[Tensor, Tensor]:
        """Zᵀ after message passing (N, C', d) and Ψ' (N, d, H·W), of U and U' (N, C', H, W)."""
        psi_visible = kernel.to_visible.fused(to_visible).flatten(2)  # (N, d, H·W)
        psi_visible = psi_visible * _inverse_norm(psi_visible, 1)
        if kernel.to_latent is None or to_latent is None:
            z = to_visible.flatten(2) @ psi_visible.transpose(1, 2)  # (N, C', d)
        else:
            psi = kernel.to_latent.fused(to_latent).flatten(2)  # (N, d, H·W), not yet normalised
            unscaled = to_latent.flatten(2) @ psi.transpose(1, 2)  # (N, C', d)
            # scaled are these d columns of C', fewer values than Ψ's d rows of H·W
            z = unscaled * _inverse_norm(psi, 2).transpose(1, 2)  # (N, C', d)
        direction = functional.normalize(z, dim=1)  # (N, C', d), Ẑᵀ
        affinity = torch.softmax(direction.transpose(1, 2) @ direction, dim=2)  # (N, d, d)
        return z @ affinity.transpose(1, 2), psi_visible  # (N, C', d), (N, d, H·W)

    def _absorbed(self, x: Tensor, graphs: list[tuple[Tensor, Tensor]]) -> Tensor:
        """The output (N, C, H, W), with W_up at the latent nodes of all kernels, d = Σ d_t in number."""
        bn = self.up.bn
        bias: Tensor | None = None
        if bn.training:
            weight = self.up.conv.weight.flatten(1)  # (C, M)
        else:
            weight, bias = self.up.folded()  # (C, M), (C,)
        # Concatenated kernels have a slice of W_up each, (C, C'); summed ones share all of it.
        parts = weight.chunk(len(graphs), dim=1) if self.merge == "concat" else [weight] * len(graphs)
        nodes = _cat([part @ z for part, (z, _) in zip(parts, graphs, strict=True)], dim=2)  # (N, C, d)
        psi = _cat([psi for _, psi in graphs], dim=1)  # (N, d, H·W)
        del graphs  # the kernels' own Ψ' need not live beside the output
        if bias is None:
            return torch.addcmul(x, self.gamma, bn((nodes @ psi).view(x.shape)))  # (N, C, H, W)
        y = torch.baddbmm(x.flatten(2), self.gamma * nodes, psi)  # (N, C, H·W)
        return y.add_((self.gamma * bias)[:, None]).view(x.shape)  # (N, C, H, W)
