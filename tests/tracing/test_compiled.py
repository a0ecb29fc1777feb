"""Recording leaves Dynamo as it was, and a compiled part is recorded as what it was compiled from."""

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounter
from torch.nn.attention.flex_attention import flex_attention

from ctxbench.tracing import trace, views


class Part(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).relu()


class Compiled(nn.Module):
    """Holds a compiled part."""

    def __init__(self, counter: CompileCounter) -> None:
        super().__init__()
        self.part = torch.compile(Part(), backend=counter)

    def forward(self, x: Tensor) -> Tensor:
        return self.part(x) + 1


@pytest.fixture(autouse=True)
def _nothing_compiled() -> None:
    torch._dynamo.reset()


@pytest.mark.parametrize("mode", ["infer", "train"])
def test_a_compiled_part_counts_as_itself_and_still_compiles_afterwards(mode: str) -> None:
    counter, another = CompileCounter(), CompileCounter()
    module = Compiled(counter)
    recorded = trace(module, (1, 4, 3, 5), mode=mode)
    assert views.macs(recorded) == 16 * 15
    assert views.macs(recorded, "backward") == (2 * 16 * 15 if mode == "train" else 0)
    assert counter.frame_count == 0  # not what the recording is for
    module(torch.ones(1, 4, 3, 5))
    assert counter.frame_count == 1
    Compiled(another)(torch.ones(1, 4, 3, 5))
    assert another.frame_count == 1


def test_what_is_compiled_already_runs_compiled_after_counting() -> None:
    counter = CompileCounter()
    module = Compiled(counter)
    module(torch.ones(1, 4, 3, 5))
    trace(module, (1, 4, 3, 5))
    module(torch.ones(1, 4, 3, 5))
    assert (counter.frame_count, counter.op_count) == (1, 2)


class Flex(nn.Module):
    """Attention over all positions, by torch's flexible kernel."""

    def forward(self, x: Tensor) -> Tensor:
        q = x.flatten(2).mT[:, None].contiguous()  # (N, 1, H·W, C)
        return flex_attention(q, q, q)[:, 0].mT.reshape_as(x)  # (N, C, H, W)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_flex_attention_counts_as_attention_and_runs_afterwards() -> None:
    recorded = trace(Flex(), (2, 8, 3, 5))
    assert views.macs(recorded) == 2 * 2 * 15 * 15 * 8
    assert recorded.tensors == "fake"
    x = torch.randn(1, 8, 3, 5)
    q = x.flatten(2).mT
    plain = ((q @ q.mT / 8**0.5).softmax(-1) @ q).mT.reshape_as(x)
    assert torch.allclose(Flex()(x), plain, atol=1e-5)
