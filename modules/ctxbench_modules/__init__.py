"""Context modules: (N, C, H, W) in, (N, C', H, W) out. One file per paper; each depends on torch alone."""

from ctxbench_modules.catalogue import FAMILIES, SPECS, Spec

__all__ = ["FAMILIES", "SPECS", "Spec"]
