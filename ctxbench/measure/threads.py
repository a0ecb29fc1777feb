"""CPU threads of the libraries that run a module: set in the process that runs it, and read back."""

import contextlib
import os
import re

ENVIRONMENT = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
_REPORTED = {
    "at::get_num_threads": "torch",
    "at::get_num_interop_threads": "torch inter-op",
    "omp_get_max_threads": "OpenMP",
    "mkl_get_max_threads": "MKL",
}
"""What torch's report calls each number, and whose it is."""


def set_threads(count: int) -> None:
    """Let every library take ``count`` threads. Once in a process, before any of them has worked."""
    os.environ.update(dict.fromkeys(ENVIRONMENT, str(count)))  # of what is loaded or started from now on
    import torch

    torch.set_num_threads(count)  # OpenMP's and MKL's with it
    with contextlib.suppress(RuntimeError):  # work has begun: what is read back will tell
        torch.set_num_interop_threads(count)


def threads() -> dict[str, int]:
    """Threads by library, as each says now; a library that torch was built without is left out."""
    import torch

    reported = re.findall(r"^\s*([\w:]+)\(\) : (\d+)$", torch.__config__.parallel_info(), re.MULTILINE)
    return {_REPORTED[name]: int(number) for name, number in reported if name in _REPORTED}
