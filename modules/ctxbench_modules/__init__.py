"""Context modules: (N, C, H, W) in, (N, C', H, W) out. One file per paper; each depends on torch alone."""

from ctxbench_modules.specs import SPECS, Spec

__all__ = ["SPECS", "Spec"]
