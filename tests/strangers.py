"""Blocks as strangers write them, each with an interface of its own; C channels, p = H·W positions."""

import torch
from torch import Tensor, nn


class Kernel(nn.Module):
    """``size`` is a kernel's side: 9·C·p MACs."""

    def __init__(self, dim: int, size: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, size, padding="same", groups=dim)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return y


class Inner(nn.Module):
    """``channels`` is an inner width beside ``in_channels``: 16·C·p MACs."""

    def __init__(self, in_channels: int, channels: int = 8) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(in_channels, channels, 1), nn.Conv2d(channels, in_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.up(self.down(x))
        return y


class OfAnImage(nn.Module):
    """A default of 3 means an image: C²·p MACs."""

    def __init__(self, in_chans: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_chans, in_chans, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return y


class Branch(nn.Module):
    """``conv_out_channels`` is the width of one of two branches, and nobody's to guess."""

    def __init__(self, in_channels: int, conv_out_channels: int) -> None:
        super().__init__()
        self.a, self.b = (nn.Conv2d(in_channels, conv_out_channels, 1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.a(x), self.b(x)], 1)


class Tokens(nn.Module):
    """(N, L, C) and the sides: a soft-max over the positions, which (N, H, W, C) would have over the rows."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.mix = nn.Linear(d_model, d_model)

    def forward(self, x: Tensor, H: int, W: int) -> Tensor:
        assert x.shape[1] == H * W
        y: Tensor = self.mix(x).softmax(1) * x
        return y


class PlainTokens(nn.Module):
    """As Tokens, without sides and without a hint."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.mix = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.mix(x).softmax(1) * x
        return y


class Nhwc(nn.Module):
    """(N, H, W, C), which its source says."""

    def __init__(self, dim: int, input_resolution: tuple[int, int]) -> None:
        super().__init__()
        self.sides, self.mix = tuple(input_resolution), nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        _b, h, w, _c = x.shape
        assert (h, w) == self.sides
        y: Tensor = self.mix(x)
        return y


class Attention(nn.Module):
    """Query, key and value: (N, L, C) each."""

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(embed_dim, embed_dim) for _ in range(3))

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        assert query.ndim == 3
        weights = (self.q(query) @ self.k(key).mT).softmax(-1)
        y: Tensor = weights @ self.v(value)
        return y


class Two(nn.Module):
    """Two maps: 2·C²·p MACs."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2 * dim, dim, 1)

    def forward(self, x: Tensor, low: Tensor) -> Tensor:
        y: Tensor = self.conv(torch.cat([x, low], 1))
        return y


class Maps(nn.Module):
    """A list of maps, one for each of its channels."""

    def __init__(self, in_channels: list[int]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(c, c, 1) for c in in_channels)

    def forward(self, inputs: list[Tensor]) -> Tensor:
        assert len(inputs) == len(self.convs)
        return sum(conv(x) for conv, x in zip(self.convs, inputs, strict=True))  # type: ignore[return-value]


class Several(nn.Module):
    """Returns statistics first, then the map."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        y = self.conv(x)
        return {"mean": y.mean((2, 3)), "out": y}


class Activated(nn.Module):
    """Options that are classes: 2·C²/r·p MACs."""

    def __init__(self, inp: int, oup: int, act: type = nn.ReLU, reduction: int = 16) -> None:
        super().__init__()
        inner = oup // reduction
        self.body = nn.Sequential(nn.Conv2d(inp, inner, 1), act(), nn.Conv2d(inner, oup, 1))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return y


class Windows(nn.Module):
    """A default window of 7, which few maps have."""

    def __init__(self, dim: int, num_heads: int, window_size: int = 7) -> None:
        super().__init__()
        self.window, self.heads = window_size, num_heads
        self.mix = nn.Linear(dim // num_heads, dim // num_heads)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        s = self.window
        parts = x.view(n, c, h // s, s, w // s, s)  # (N, C, H/s, s, W/s, s)
        y = parts.permute(0, 2, 4, 3, 5, 1).reshape(
            -1, s * s, self.heads, c // self.heads
        )  # (windows, s², h, d)
        mixed = self.mix(y).reshape(n, h // s, w // s, s, s, c)  # (N, H/s, W/s, s, s, C)
        return mixed.permute(0, 5, 1, 3, 2, 4).reshape(n, c, h, w)  # (N, C, H, W)


class Strided(nn.Module):
    """Halves the map."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, 3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return y


class Ignored(nn.Module):
    """Takes a number of channels and does nothing with it."""

    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return x * x.sigmoid()


class Looks(nn.Module):
    """Its control flow depends on data, so that fake tensors do not do."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return y if float(x.sum()) > 0 else y + 1


class Fetches(nn.Module):
    """Would download its weights."""

    def __init__(self, dim: int, pretrained: bool = True) -> None:
        super().__init__()
        if pretrained:
            import socket

            socket.create_connection(("192.0.2.1", 80), timeout=1)
        self.conv = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return y


class Wrong(nn.Module):
    """The user's own mistake."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(dim, dim + 1, 1), nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(self.first(x))
        return y


class Unknowable(nn.Module):
    """An input that cannot be made up."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor, timestep: Tensor) -> Tensor:
        y: Tensor = self.conv(x) * timestep[:, :, None, None]
        return y


class Landmarks(nn.Module):
    """A number of tokens and an input that nobody knows."""

    def __init__(self, dim: int, tokens: int) -> None:
        super().__init__()
        self.mix = nn.Linear(dim, dim)
        self.weights = nn.Parameter(torch.zeros(tokens))

    def forward(self, x: Tensor, *, landmarks: Tensor) -> Tensor:
        y: Tensor = self.mix(x) + landmarks.mean(1, keepdim=True) * self.weights.sum()
        return y


class Longest(nn.Module):
    """Tokens, at most ``seq_len`` of them: 4·C·p MACs to make four, as many to give them back."""

    def __init__(self, dim: int, seq_len: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(dim))
        self.project = nn.Parameter(torch.zeros(seq_len, 4))

    def forward(self, x: Tensor) -> Tensor:
        project = self.project[: x.shape[1]]
        return project @ (project.T @ x) * self.scale


def make(dim: int, ratio: int) -> nn.Module:
    """A function that makes a module; ``ratio`` is nobody's to guess."""
    return nn.Sequential(nn.Conv2d(dim, dim // ratio, 1), nn.ReLU(), nn.Conv2d(dim // ratio, dim, 1))


instance = nn.Conv2d(24, 24, 1, bias=False)


class Square(nn.Module):
    """Both sides as one number, tokens: C²·p MACs."""

    def __init__(self, dim: int, fmap_size: int) -> None:
        super().__init__()
        self.positions, self.mix = fmap_size**2, nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[-2] == self.positions
        y: Tensor = self.mix(x)
        return y
