"""ONNX Runtime on the CPU, with its default optimisations."""

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import onnxruntime as ort
import psutil
import torch
from torch import Tensor

from ctxbench.measure.runtimes.exported import Exported

PROVIDER = "CPUExecutionProvider"
SPIN_S = 0.1
"""How long at most its threads wait busily for another call; 30 to 40 ms were seen."""
TYPES = {
    torch.float32: onnx.TensorProto.FLOAT,
    torch.float64: onnx.TensorProto.DOUBLE,
    torch.float16: onnx.TensorProto.FLOAT16,
    torch.bfloat16: onnx.TensorProto.BFLOAT16,
    torch.int64: onnx.TensorProto.INT64,
    torch.int32: onnx.TensorProto.INT32,
    torch.bool: onnx.TensorProto.BOOL,
}
"""What an ONNX model calls a dtype."""
MOVES = ("Cast", "Concat", "Expand", "Gather", "Identity", "Pad", "ReorderInput", "ReorderOutput", "Reshape",
         "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze")  # fmt: skip
"""Operations that compute nothing."""


class OnnxRuntime(Exported):
    """A :class:`~ctxbench.measure.runtimes.Runtime` that runs an ONNX model in a session.

    On the CPU it has no kernels for bfloat16, and few for float16: where there is none it computes in float32
    between two casts, which it puts there itself for float16 and is given for bfloat16.
    """

    name = "onnxruntime"
    without_kernels = (torch.bfloat16,)

    def __init__(self) -> None:
        super().__init__()
        self._session: ort.InferenceSession
        self._started = 0
        self._in_float32: dict[str, int] = {}

    def versions(self) -> dict[str, str]:
        """Its own, and those of what wrote the model."""
        return {package.__name__: package.__version__ for package in (ort, onnx)}

    def threads(self) -> dict[str, int]:
        """Of one operation: those that it has started, and the caller's; and of operations side by side."""
        between = self._session.get_session_options().inter_op_num_threads
        own = {self.name: self._started + 1}
        return {**own, f"{self.name} inter-op": between} if between else own

    def rest(self) -> None:
        """Wait until its threads no longer wait busily."""
        if self._started:
            time.sleep(SPIN_S)

    def _load(self, model: bytes) -> None:
        options = ort.SessionOptions()
        options.log_severity_level = 3  # errors: not that a saved model is for this machine
        if self._threads is not None:
            options.intra_op_num_threads = options.inter_op_num_threads = self._threads
        process = psutil.Process()
        with TemporaryDirectory(prefix="ctxbench-") as folder:
            options.optimized_model_filepath = str(Path(folder, "optimized.onnx"))
            before = process.num_threads()
            self._session = ort.InferenceSession(model, options, providers=[PROVIDER])
            self._started = process.num_threads() - before
            if self._dtype in (torch.float16, torch.bfloat16):
                self._in_float32 = _in_float32(onnx.load(options.optimized_model_filepath))

    def _run(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        binding = self._session.io_binding()
        for put, x in zip(self._session.get_inputs(), inputs, strict=True):
            binding.bind_input(put.name, "cpu", 0, TYPES[x.dtype], list(x.shape), x.data_ptr())
        for put, y in zip(self._session.get_outputs(), outputs, strict=True):
            binding.bind_output(put.name, "cpu", 0, TYPES[y.dtype], list(y.shape), y.data_ptr())
        self._session.run_with_iobinding(binding)

    def _elsewhere(self) -> dict[str, int]:
        return self._in_float32


def _in_float32(model: onnx.ModelProto) -> dict[str, int]:
    """The operations of a model that compute in float32, by name."""
    single = onnx.TensorProto.FLOAT
    known = {tensor.name for tensor in model.graph.initializer if tensor.data_type == single}
    found: Counter[str] = Counter()
    for node in model.graph.node:  # in the order of computing
        if node.op_type == "Cast":
            if any(attribute.i == single for attribute in node.attribute if attribute.name == "to"):
                known.update(node.output)
        elif not known.isdisjoint(node.input):
            known.update(node.output)
            if node.op_type not in MOVES:
                found[f"{node.op_type} in float32"] += 1
    return dict(found)
