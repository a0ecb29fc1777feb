"""The one thing whose time and memory are measured: a call of a module with a fixed input.

Shapes: N batch, C input channels, C' output channels, H×W the map.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ctxbench.errors import UserError
from ctxbench.measure.runtimes import Runtime, new_runtime
from ctxbench.subject.case import Case

SEED = 0


class MeasuredCall:
    """A forward pass in eval mode without autograd, or a forward and backward pass in training mode.

    Use :meth:`clear` before each, outside what is measured: it frees the gradients of the last one.
    """

    def __init__(self, run: Callable[[], Tensor], module: nn.Module, x: Tensor) -> None:
        self._run = run
        self.module = module
        self.x = x

    def clear(self) -> None:
        """Set the gradients of the parameters and of the input to None."""
        self.x.grad = None
        self.module.zero_grad(set_to_none=True)

    def __call__(self) -> Tensor:
        """Run the pass and return its output (N, C', H, W)."""
        return self._run()


def placed(case: Case, module: nn.Module) -> nn.Module:
    """Put a module on the case's device, in its dtype, memory format and mode; make lazy layers' weights."""
    module = module.to(case.device, _dtype(case)).train(case.mode == "train")
    if any(is_lazy(tensor) for tensor in (*module.parameters(), *module.buffers())):
        with torch.no_grad():  # a pass in eval mode, which moves no statistics
            module.eval()(torch.zeros(case.shape, dtype=_dtype(case), device=case.device))
        module.train(case.mode == "train")
    return module.to(memory_format=_memory_format(case))  # type: ignore[call-overload, no-any-return]


def _dtype(case: Case) -> torch.dtype:
    dtype: torch.dtype = getattr(torch, case.dtype)
    return dtype


def _memory_format(case: Case) -> torch.memory_format:
    return torch.channels_last if case.layout == "channels_last" else torch.contiguous_format


def build_call(case: Case, module: nn.Module, runtime: Runtime | None = None) -> MeasuredCall:
    """Put ``module`` under the case's conditions and run it twice on a seeded input (N, C, H, W).

    ``runtime`` is by default a new one of the case's kind. Raises UserError if the output is not one tensor
    (N, C', H, W) of the same shape both times.
    """
    dtype, memory_format, train = _dtype(case), _memory_format(case), case.mode == "train"
    module = placed(case, module)
    generator = torch.Generator().manual_seed(SEED)
    x = (
        torch.randn(case.shape, generator=generator)  # (N, C, H, W), on the CPU: the same on every device
        .to(case.device, dtype)
        .contiguous(memory_format=memory_format)
    )
    x.requires_grad_(train)
    runtime = runtime or new_runtime(case.runtime)
    runtime.prepare(module, x)

    def infer() -> Tensor:
        with torch.inference_mode():
            return runtime.run(x)

    works_in_place = False
    try:
        first = runtime.run(x) if train else infer()  # (N, C', H, W)
    except RuntimeError as error:
        if not train or "leaf Variable that requires grad" not in str(error):
            raise
        # its first layer works in place, which autograd forbids on a leaf: inside a network its input is none
        works_in_place = True
        first = runtime.run(x.clone())
    shape = check_output(case, first)
    upstream = torch.empty_like(first) if train else None  # (N, C', H, W), in the output's memory format
    del first  # and its graph: two passes at once would need more memory than one is predicted to
    if upstream is None:
        call = MeasuredCall(infer, module, x)
    else:
        upstream.copy_(torch.randn(shape, generator=generator))

        def forward_backward() -> Tensor:
            y = runtime.run(x.clone() if works_in_place else x)
            torch.autograd.backward(y, upstream)
            return y

        call = MeasuredCall(forward_backward, module, x)
    check_output(case, call(), shape)
    return call


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
