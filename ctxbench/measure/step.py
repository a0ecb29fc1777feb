"""The one thing whose time and memory are measured: a pass of a module over a fixed input."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ctxbench.errors import UserError
from ctxbench.subject.case import Case

SEED = 0


class Step:
    """A forward pass in eval mode without autograd, or a forward and backward pass in training mode.

    Call :meth:`clear` before each call, outside what is measured: it frees the gradients of the last one.
    """

    def __init__(self, call: Callable[[], Tensor], module: nn.Module, x: Tensor) -> None:
        self._call = call
        self.module = module
        self.x = x

    def clear(self) -> None:
        """Set the gradients of the parameters and of the input to None."""
        self.x.grad = None
        self.module.zero_grad(set_to_none=True)

    def __call__(self) -> Tensor:
        """Run the pass and return its output."""
        return self._call()


def build_step(case: Case, module: nn.Module) -> Step:
    """Put ``module`` under the case's conditions and run it twice on a seeded input.

    Raises UserError if the output is not one tensor (N, C', H, W) of the same shape both times.
    """
    dtype: torch.dtype = getattr(torch, case.dtype)
    train = case.mode == "train"
    memory_format = torch.channels_last if case.layout == "channels_last" else torch.contiguous_format
    module = module.to(case.device, dtype).train(train)
    module = module.to(memory_format=memory_format)  # type: ignore[call-overload]
    generator = torch.Generator().manual_seed(SEED)
    x = (
        torch.randn(case.shape, generator=generator)
        .to(case.device, dtype)
        .contiguous(memory_format=memory_format)
    )
    x.requires_grad_(train)
    forward: Callable[[Tensor], Tensor] = torch.compile(module) if case.compile else module

    def infer() -> Tensor:
        with torch.inference_mode():
            return forward(x)

    first = forward(x) if train else infer()
    shape = check_output(case, first)
    upstream = torch.empty_like(first) if train else None
    del first  # and its graph: two passes at once would need more memory than one is predicted to
    if upstream is None:
        step = Step(infer, module, x)
    else:
        upstream.copy_(torch.randn(shape, generator=generator))

        def forward_backward() -> Tensor:
            y = forward(x)
            torch.autograd.backward(y, upstream)
            return y

        step = Step(forward_backward, module, x)
    check_output(case, step(), shape)
    return step


def check_output(case: Case, y: object, before: torch.Size | None = None) -> torch.Size:
    """Return the shape of what a module returned.

    Raises UserError unless that is one tensor (N, C', H, W), of the shape that the call before returned.
    """
    label = case.module.rpartition("/")[2]
    wanted = f"a context module returns one tensor (N={case.batch}, C', H={case.height}, W={case.width})"
    if not isinstance(y, Tensor):
        raise UserError(f"{label} returned {type(y).__name__}; {wanted}")
    if y.ndim != 4 or (y.shape[0], *y.shape[2:]) != (case.batch, case.height, case.width):
        raise UserError(f"{label} returned shape {tuple(y.shape)}; {wanted}")
    if before is not None and before != y.shape:
        shapes = f"{tuple(before)}, then {tuple(y.shape)}"
        raise UserError(f"{label} is not deterministic in shape: it returned {shapes}")
    return y.shape
