"""The one thing whose time and memory are measured: a call of a module with fixed inputs."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ctxbench.errors import UserError
from ctxbench.measure.runtimes import Runtime, new_runtime
from ctxbench.subject.case import Case
from ctxbench.subject.interface import Given
from ctxbench.subject.resolve import label

SEED = 0


class MeasuredCall:
    """A forward pass in eval mode without autograd, or a forward and backward pass in training mode.

    Use :meth:`clear` before each, outside what is measured: it frees the gradients of the last one.
    """

    def __init__(self, run: Callable[[], Tensor], module: nn.Module, given: Given) -> None:
        self._run = run
        self.module = module
        self.given = given

    def clear(self) -> None:
        """Set the gradients of the parameters and of the inputs to None."""
        for x in self.given.tensors:
            x.grad = None
        self.module.zero_grad(set_to_none=True)

    def __call__(self) -> Tensor:
        """Run the pass and return its output."""
        return self._run()


def placed(case: Case, module: nn.Module) -> nn.Module:
    """Put a module on the case's device, in its dtype, memory format and mode; make lazy layers' weights."""
    module = module.to(case.device, _dtype(case)).train(case.mode == "train")
    if any(is_lazy(tensor) for tensor in (*module.parameters(), *module.buffers())):
        with torch.no_grad():  # a pass in eval mode, which moves no statistics
            module.eval()

            def zeros(shape: tuple[int, ...], _: bool) -> Tensor:
                return torch.zeros(shape, dtype=_dtype(case), device=case.device)

            given = case.interface.given(module, case.shape, zeros)
            module(*given.args, **given.kwargs)
        module.train(case.mode == "train")
    return module.to(memory_format=_memory_format(case))  # type: ignore[call-overload, no-any-return]


def _dtype(case: Case) -> torch.dtype:
    dtype: torch.dtype = getattr(torch, case.dtype)
    return dtype


def _memory_format(case: Case) -> torch.memory_format:
    return torch.channels_last if case.layout == "channels_last" else torch.contiguous_format


def build_call(case: Case, module: nn.Module, runtime: Runtime | None = None) -> MeasuredCall:
    """Put ``module`` under the case's conditions and run it twice on seeded inputs.

    ``runtime`` is by default a new one of the case's kind. Raises UserError if the output is not one tensor
    of the same shape both times.
    """
    dtype, memory_format, train = _dtype(case), _memory_format(case), case.mode == "train"
    interface = case.interface
    module = placed(case, module)
    generator = torch.Generator().manual_seed(SEED)

    def make(shape: tuple[int, ...], is_map: bool) -> Tensor:
        x = torch.randn(shape, generator=generator).to(case.device, dtype)  # the same on every device
        x = x.contiguous(memory_format=memory_format) if is_map else x
        return x.requires_grad_(train)

    given = interface.given(module, case.shape, make)
    runtime = runtime or new_runtime(case.runtime)
    runtime.prepare(module, given, case.threads)

    def infer() -> Tensor:
        with torch.inference_mode():
            return interface.pick(runtime.run(given))

    works_in_place = False
    try:
        first = interface.pick(runtime.run(given)) if train else infer()
    except RuntimeError as error:
        if not train or "leaf Variable that requires grad" not in str(error):
            raise
        # its first layer works in place, which autograd forbids on a leaf: inside a network its input is none
        works_in_place = True
        first = interface.pick(runtime.run(given.replaced(torch.clone)))
    shape = first.shape
    upstream = torch.empty_like(first) if train else None  # in the output's memory format
    del first  # and its graph: two passes at once would need more memory than one is predicted to
    if upstream is None:
        call = MeasuredCall(infer, module, given)
    else:
        upstream.copy_(torch.randn(shape, generator=generator))

        def forward_backward() -> Tensor:
            y = interface.pick(runtime.run(given.replaced(torch.clone) if works_in_place else given))
            torch.autograd.backward(y, upstream)
            return y

        call = MeasuredCall(forward_backward, module, given)
    check_same_shape(case, shape, call().shape)
    return call


def check_same_shape(case: Case, before: torch.Size, now: torch.Size) -> None:
    """Raise UserError where two calls with the same input returned different shapes."""
    if before != now:
        shapes = f"{tuple(before)}, then {tuple(now)}"
        raise UserError(f"{label(case.module)} is not deterministic in shape: it returned {shapes}")
