"""What the CPU's allocator hands out, in its own log, over a pass of a module."""

import gc
from itertools import accumulate

import torch
from torch import Tensor, nn
from torch.autograd.profiler import profile


def measured_peak(
    module: nn.Module, shape: tuple[int, ...], train: bool, dtype: torch.dtype = torch.float32
) -> int:
    """Bytes of the peak above parameters, input and upstream gradient; the pass has run once before."""
    module = module.to(dtype).train(train)
    x = torch.randn(shape, dtype=dtype, requires_grad=train)
    upstream = torch.empty(0)

    def step() -> Tensor:
        x.grad = None
        module.zero_grad(set_to_none=True)
        y: Tensor = module(x)
        if train:
            y.backward(upstream)
        return y

    with torch.set_grad_enabled(train):
        upstream = torch.randn_like(module(x))
        step()
        x.grad = None
        module.zero_grad(set_to_none=True)
        gc.disable()  # what was garbage before stays so, and nothing is given back that was not taken here
        try:
            with profile(profile_memory=True) as seen:
                kept = step()
        finally:
            gc.enable()
    sizes = [event.nbytes() for event in seen.kineto_results.events() if event.name() == "[memory]"]
    assert kept is not None
    return max(accumulate(sizes), default=0)
