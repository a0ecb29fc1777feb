"""What PyTorch's caching allocator would hold of a CUDA device, simulated over a trace: no device is asked.

The allocator's rules are PyTorch's; a trace is replayed through them as a profile would run it, with what the
environment sets of the allocator and of cuBLAS's workspace.
"""

from ctxbench.tracing.cuda.replay import peak_reserved
from ctxbench.tracing.cuda.settings import NotSimulatedError, Settings, settings_here

__all__ = ["NotSimulatedError", "Settings", "peak_reserved", "settings_here"]
