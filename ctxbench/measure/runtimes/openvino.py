"""OpenVINO on the CPU, told to answer one request as soon as it can."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import openvino as ov
import torch
from torch import Tensor

from ctxbench.measure.runtimes.exported import Exported

TYPES = {
    torch.float32: ov.Type.f32,
    torch.float16: ov.Type.f16,
    torch.bfloat16: ov.Type.bf16,
    torch.int64: ov.Type.i64,
    torch.int32: ov.Type.i32,
    torch.bool: ov.Type.boolean,
}
"""What it calls a dtype."""
NAMES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}
"""Dtypes in which an operation may run, by the names they have in its report."""
MOVES = ("Concatenation", "Const", "Convert", "Gather", "Input", "Output", "Pad", "Reorder", "Reshape",
         "Split", "StridedSlice", "Transpose")  # fmt: skip
"""Layers of its report that compute nothing."""


class OpenVino(Exported):
    """A :class:`~ctxbench.measure.runtimes.Runtime` that compiles an ONNX model for the CPU.

    It is told to compute in the model's own dtype: by itself it takes bfloat16 for float32 where the CPU has
    that. What the CPU has no instructions for it computes in another dtype, and says so.
    """

    name = "openvino"

    def __init__(self) -> None:
        super().__init__()
        self._compiled: ov.CompiledModel
        self._request: ov.InferRequest

    def versions(self) -> dict[str, str]:
        """Its own."""
        return {self.name: ov.get_version()}

    def threads(self) -> dict[str, int]:
        """As it says that it takes."""
        return {self.name: int(self._compiled.get_property("INFERENCE_NUM_THREADS"))}

    def _load(self, model: bytes) -> None:
        asked: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": TYPES[self._dtype],
        }
        if self._threads is not None:
            asked["INFERENCE_NUM_THREADS"] = self._threads
        core = ov.Core()
        self._compiled = core.compile_model(core.read_model(model=model), "CPU", asked)
        self._request = self._compiled.create_infer_request()

    def _run(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        for index, x in enumerate(inputs):
            self._request.set_input_tensor(index, _shared(x))
        for index, y in enumerate(outputs):
            self._request.set_output_tensor(index, _shared(y))
        self._request.infer()

    def _elsewhere(self) -> dict[str, int]:
        found: Counter[str] = Counter()
        for layer in self._compiled.get_runtime_model().get_ops():
            facts = {name: str(value.astype(str)) for name, value in layer.get_rt_info().items()}
            dtype = NAMES.get(facts.get("runtimePrecision", ""))
            if dtype and facts.get("layerType") not in MOVES and getattr(torch, dtype) != self._dtype:
                found[f"{facts['layerType']} in {dtype}"] += 1
        return dict(found)


def _shared(tensor: Tensor) -> ov.Tensor:
    """The memory of a contiguous tensor as OpenVINO's own."""
    raw = tensor.reshape(-1).view(torch.uint8).numpy()  # (bytes,)
    return ov.Tensor(raw, list(tensor.shape), TYPES[tensor.dtype])
