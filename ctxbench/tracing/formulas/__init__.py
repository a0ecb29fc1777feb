"""What one operation costs: multiply–accumulates (MACs), and element-wise floating-point operations.

This is the one place where the conventions ``macs`` and ``flops`` are defined.

* **MACs** are counted for convolutions, matrix products and fused attention, every call, padding included;
  a causal mask saves nothing. A fused attention backward recomputes Q·Kᵀ and is counted with it. A MAC of
  complex numbers counts once, though a processor spends four real ones on it. Of a sparse matrix only the
  elements that it stores are multiplied.
* **Element-wise operations**: one per output element of a point-wise operation (a sigmoid is one, and so is
  a loss, with one more for its sum); for what is not, see :mod:`~ctxbench.tracing.formulas.elementwise`.
  A bias inside a convolution or an ``addmm`` is one addition per output element. Of whole numbers alone, such
  as the sizes that a traced module computes, none is a floating-point operation.
  A fast Fourier transform of n complex points is 5·n·log₂ n of them, half of it where one side is real.
* **FLOPs** are 2·MACs + element-wise operations.
* Moving, making and comparing data (views, copies, concatenation, indexing, sorting, random numbers) costs
  no operation: :mod:`ctxbench.tracing.formulas.moves`.

A formula stands under the names of the operations it is for, as in torch.utils.flop_counter. Operations of
other packages get theirs by :func:`register_formula`, by an entry point of the group ``ctxbench.formulas``,
or by torch's own ``register_flop_formula``. An operation that none of these knows is *unknown*: it is listed
by name, adds nothing, and makes every count with it a lower bound.
"""

from ctxbench.tracing.formulas import attention, convolutions, elementwise, kernels, products
from ctxbench.tracing.formulas.registry import PRODUCTS, Kind, base_name, cost, register_formula, tensors_in
from ctxbench.tracing.formulas.taken import Taken, taken

__all__ = [
    "PRODUCTS",
    "Kind",
    "Taken",
    "attention",
    "base_name",
    "convolutions",
    "cost",
    "elementwise",
    "kernels",
    "products",
    "register_formula",
    "taken",
    "tensors_in",
]
