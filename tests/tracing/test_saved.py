"""Saved activations are what torch's own hooks on saved tensors see in a real run."""

import weakref

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from ctxbench.subject.bind import build
from ctxbench.subject.registry import SPECS
from ctxbench.tracing import trace, views


def saved_by_hooks(module: nn.Module, shape: tuple[int, ...]) -> int:
    """Bytes of the storages that autograd saved and holds, without parameters, buffers and the input."""
    module.train()
    x = torch.randn(shape, requires_grad=True)
    given = {t.untyped_storage().data_ptr() for t in (*module.parameters(), *module.buffers(), x)}
    packed: dict[int, tuple[weakref.ref[torch.UntypedStorage], int]] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        packed[storage._cdata] = weakref.ref(storage), storage.nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        y = module(x)
        edge = torch.autograd.graph.get_gradient_edge(y)
        del y
    alive = [(ref(), size) for ref, size in packed.values()]
    assert edge is not None
    return sum(size for storage, size in alive if storage is not None and storage.data_ptr() not in given)


@pytest.mark.parametrize("name", list(SPECS))
def test_of_every_built_in(name: str) -> None:
    module = build(name, 16, (8, 10))
    assert views.saved_bytes(trace(module, (2, 16, 8, 10), mode="train")) == saved_by_hooks(
        module, (2, 16, 8, 10)
    )


class Keeps(nn.Module):
    """Stores its last attention, and a map that no gradient needs, for pictures."""

    def forward(self, x: Tensor) -> Tensor:
        q = x.flatten(2)  # (N, C, H·W)
        self.last = (q.mT @ q).softmax(-1)
        self.for_a_picture = x.detach() + 1
        return (q @ self.last).reshape(x.shape)


class Recurrent(nn.Module):
    """A recurrent layer over the rows of a map."""

    def __init__(self, layer: type[nn.RNNBase], dim: int, hidden: int, both: bool) -> None:
        super().__init__()
        self.layer = layer(dim, hidden, bidirectional=both, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.permute(0, 2, 3, 1).flatten(0, 1)  # (N·H, W, C)
        y: Tensor = self.layer(rows)[0]
        return y.unflatten(0, (x.shape[0], x.shape[2])).permute(0, 3, 1, 2)  # (N, C', H, W)


class Functions(nn.Module):
    """What saves something of its own: a mask, indices, statistics, a normalised weight."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.utils.parametrizations.weight_norm(nn.Conv2d(8, 8, 3, padding=1))
        self.norm, self.group = nn.BatchNorm2d(8), nn.GroupNorm(2, 8)

    def forward(self, x: Tensor) -> Tensor:
        y = F.dropout(self.group(self.norm(self.conv(x)).relu_()), 0.5)
        z = F.interpolate(F.max_pool2d(y, 2), size=x.shape[2:], mode="bilinear")
        return F.log_softmax(F.normalize(F.gelu(z) * y, dim=1), 1)


def test_what_the_module_keeps_for_itself_is_not_counted() -> None:
    expected = saved_by_hooks(Keeps(), (1, 4, 5, 6))
    assert expected == 30 * 30 * 4
    assert views.saved_bytes(trace(Keeps(), (1, 4, 5, 6), mode="train")) == expected


def test_of_functions_that_save_something_of_their_own() -> None:
    module = Functions()
    assert views.saved_bytes(trace(module, (2, 8, 9, 6), mode="train")) == saved_by_hooks(
        module, (2, 8, 9, 6)
    )


@settings(max_examples=25)
@given(
    st.sampled_from((nn.LSTM, nn.LSTM, nn.GRU, nn.RNN)),
    st.tuples(st.integers(1, 3), st.integers(1, 70), st.integers(1, 9), st.integers(1, 40)),
    st.integers(1, 80),
    st.booleans(),
)
def test_of_recurrent_layers_with_their_workspace(
    layer: type[nn.RNNBase], shape: tuple[int, int, int, int], hidden: int, both: bool
) -> None:
    module = Recurrent(layer, shape[1], hidden, both)
    assert views.saved_bytes(trace(module, shape, mode="train")) == saved_by_hooks(module, shape)
