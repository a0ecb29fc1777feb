"""A module as an ONNX model, by torch's dynamo exporter: what the runtimes that take such models share."""

import copy
import time
import warnings
from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import onnxscript  # noqa: F401  the exporter's: loaded here, since loading it is no part of a compilation
import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.export import ExportedProgram
from torch.fx import Node
from torch.utils import _pytree as pytree

from ctxbench.errors import UserError, is_out_of_memory
from ctxbench.measure.runtimes import Compilation, Runtime
from ctxbench.subject.interface import Given
from ctxbench.tracing.formulas.moves import MOVES, VIEWS

OPSET = 20
"""Of the models. The exporter writes 18 and later; each runtime here reads this one."""


class _Shaped(NamedTuple):
    """A tensor without values."""

    shape: torch.Size
    dtype: torch.dtype


class _Returned:
    """What a module returned when it was exported: where its tensors are, and what is beside them."""

    def __init__(self) -> None:
        self._leaves: list[Any] = []
        """Of a tensor its shape and dtype."""
        self._tree: pytree.TreeSpec

    def keep(self, output: Any) -> tuple[Tensor, ...]:
        """Take an output in; its tensors."""
        leaves, self._tree = pytree.tree_flatten(output)
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        if any(x.is_complex() for x in tensors):
            raise TypeError("it returns complex numbers, which no ONNX model does")
        self._leaves = [_Shaped(x.shape, x.dtype) if isinstance(x, Tensor) else x for x in leaves]
        return tuple(tensors)

    def empty(self) -> list[Tensor]:
        """Tensors for another output, without values."""
        return [
            torch.empty(leaf.shape, dtype=leaf.dtype) for leaf in self._leaves if isinstance(leaf, _Shaped)
        ]

    def filled(self, tensors: Sequence[Tensor]) -> Any:
        """An output with these tensors."""
        left = iter(tensors)
        leaves = [next(left) if isinstance(leaf, _Shaped) else leaf for leaf in self._leaves]
        return pytree.tree_unflatten(leaves, self._tree)


class Exported(Runtime):
    """A :class:`~ctxbench.measure.runtimes.Runtime` that runs an ONNX model of the module, forward alone.

    Each call returns tensors of its own, as the module does.
    """

    name = ""
    has_torch_memory = False
    without_kernels: tuple[torch.dtype, ...] = ()
    """Dtypes that it cannot compute in: tensors come and go in them, and between two casts is float32."""

    def __init__(self) -> None:
        self._model = b""
        self._dtype: torch.dtype
        self._threads: int | None = None
        self._made = Compilation()
        self._returned = _Returned()
        self._decomposed: dict[str, int] = {}

    @abstractmethod
    def _load(self, model: bytes) -> None:
        """Make ready to run a model."""

    @abstractmethod
    def _run(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        """One pass from tensors into others, all of them contiguous."""

    @abstractmethod
    def _elsewhere(self) -> dict[str, int]:
        """Operations that run otherwise than asked for."""

    def prepare(self, module: nn.Module, given: Given, threads: int | None = None) -> None:
        """Export the module, and load the model. Raises UserError where that fails."""
        self._threads, self._dtype = threads, given.tensors[0].dtype
        began_s = time.perf_counter()
        self._model = self._exported(module, given)
        try:
            self._load(self._model)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            raise UserError(f"{self.name} does not take the ONNX model: {_told(error, -1)}") from error
        seconds = time.perf_counter() - began_s
        self._made = Compilation(seconds, 1, {}, self._decomposed, self._elsewhere())

    def run(self, given: Given) -> Any:
        """One forward pass."""
        outputs = self._returned.empty()
        self._run(given.tensors, outputs)
        return self._returned.filled(outputs)

    def compilation(self) -> Compilation:
        """Seconds of exporting and loading, and what was written or runs otherwise."""
        return self._made

    def model(self) -> bytes:
        """The ONNX model."""
        return self._model

    def restart(self) -> None:
        """Load the model anew: what it takes in its first calls, it keeps."""
        self._load(self._model)

    def _exported(self, module: nn.Module, given: Given) -> bytes:
        inside = torch.float32 if self._dtype in self.without_kernels else None
        if inside is not None:
            module = copy.deepcopy(module).to(inside)
        of_tensors = _OfTensors(module, given, self._returned, inside)
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of torch, about itself
            try:
                captured = torch.export.export(of_tensors, given.tensors, strict=False)
                program = torch.onnx.export(
                    _with_four_axes(captured),
                    dynamo=True,
                    opset_version=OPSET,
                    # a convolution into which it folds a batch norm would have weights in float32
                    optimize=inside is not None or self._dtype != torch.bfloat16,
                    verbose=False,
                )
                assert program is not None
                assert program.exported_program is not None
                model: bytes = program.model_proto.SerializeToString()
                self._decomposed = _decomposed(captured, program.exported_program)
            except Exception as error:
                if is_out_of_memory(error):
                    raise
                raise UserError(f"torch cannot export it to ONNX: {_told(error)}") from error
        return model


class _OfTensors(nn.Module):
    """A module as a function of tensors and to tensors, which is all that an ONNX model is.

    With ``inside`` it is in that dtype, whatever the tensors are in.
    """

    def __init__(
        self, module: nn.Module, given: Given, returned: _Returned, inside: torch.dtype | None
    ) -> None:
        super().__init__()
        self.module = module
        self._given, self._returned, self._inside = given, returned, inside

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Call the module, and keep in mind what it returned."""
        new = dict(zip(map(id, self._given.tensors), tensors, strict=True))
        given = self._given.replaced(lambda tensor: self._within(new[id(tensor)]))
        output = self.module(*given.args, **given.kwargs)
        if self._inside is not None:
            output = pytree.tree_map_only(Tensor, self._outside, output)
        return self._returned.keep(output)

    def _within(self, tensor: Tensor) -> Tensor:
        return tensor if self._inside is None else tensor.to(self._inside)

    def _outside(self, tensor: Tensor) -> Tensor:
        return tensor.to(self._given.tensors[0].dtype) if tensor.dtype == self._inside else tensor


def _with_four_axes(program: ExportedProgram) -> ExportedProgram:
    """The program with attention over other than four axes written out: the exporter knows no other."""
    attention = torch.ops.aten.scaled_dot_product_attention.default
    if all(node.meta["val"].ndim == 4 for node in program.graph.nodes if node.target is attention):
        return program
    written_out: ExportedProgram = program.run_decompositions({attention: _attention})
    return written_out


def _attention(
    q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None, *args: Any, **kw: Any
) -> Tensor:
    """``scaled_dot_product_attention`` in products and a soft-max."""
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        attn_mask = torch.zeros_like(attn_mask, dtype=q.dtype).masked_fill(~attn_mask, -torch.inf)
    in_parts = torch.ops.aten._scaled_dot_product_attention_math.default
    out: Tensor = in_parts(q, k, v, attn_mask, *args, **kw)[0]
    return out


def _decomposed(captured: ExportedProgram, written: ExportedProgram) -> dict[str, int]:
    """The operations of a program of which more than one was written, by name."""
    several: Counter[str] = Counter()
    for node in filter(_computes, written.graph.nodes):
        several.update(source.name for source in node.meta.get("from_node", ())[-1:])
    names = [node.target._schema.name for node in captured.graph.nodes if several[node.name] > 1]
    return dict(Counter(name.removeprefix("aten::") for name in names))


def _computes(node: Node) -> bool:
    """Whether a node of a graph is an operation, and neither moves what is there nor views it otherwise."""
    if not isinstance(node.target, OpOverload):
        return False
    schema = node.target._schema
    is_free = schema.name.removeprefix("aten::") in MOVES | VIEWS
    return bool(schema.returns) and not is_free and not any(value.alias_info for value in schema.returns)


def _told(error: BaseException, line: int = 0) -> str:
    """What went wrong, in one line: of what it was raised for, since torch's own error is about reports."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip("- ") for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[line]}" if lines else type(error).__name__
