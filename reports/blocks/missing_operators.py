"""Declares, without a kernel, the compiled operators of torchvision and mmcv that a CPU torch has not.

`torchvision`'s compiled half does not load beside this torch, and `mmcv-lite` has none; without the
declarations neither imports, nor does any package that imports one of them. A call of a declared operator
raises, so no block that runs calls one. `install.sh` puts this file into the virtual environment and has it
imported when Python starts; it imports no torch itself.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Sequence

TORCHVISION_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


class MissingOperators(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Declares torchvision's operators before its first import; stands in for `mmcv._ext`."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Torchvision's import is only prepared; `mmcv._ext` is made here."""
        if name == "torchvision":
            sys.meta_path.remove(self)
            sys.meta_path.append(self)
            import torch

            library = torch.library.Library("torchvision", "DEF")
            for schema in TORCHVISION_SCHEMAS:
                library.define(schema)
            torch._ctxbench_torchvision_library = library  # type: ignore[attr-defined]
        if name == "mmcv._ext":
            return importlib.machinery.ModuleSpec(name, self)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """A module in which every operator is there, and raises when called."""
        module = types.ModuleType(spec.name)

        def missing(operator: str) -> object:
            if operator.startswith("__"):
                raise AttributeError(operator)

            def call(*_: object, **__: object) -> None:
                raise NotImplementedError(f"mmcv-lite has no compiled operator {operator}")

            return call

        module.__getattr__ = missing  # type: ignore[method-assign]
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing is left to do."""


sys.meta_path.insert(0, MissingOperators())
