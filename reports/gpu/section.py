"""What each part of the check hands to the report, and what the parts share."""

import gc
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from ctxbench.table.column import Column, Row, lay_out
from ctxbench.table.grid import Grid


@dataclass(frozen=True)
class Section:
    """A part of the report: tables, sentences, and what is not as it should be."""

    title: str
    grids: Sequence[Grid] = ()
    text: Sequence[str] = ()
    wrong: Sequence[str] = field(default=())


def table(title: str, columns: Sequence[Column[Row]], rows: Sequence[Row]) -> Grid:
    """One table of rows without groups."""
    return lay_out(title, columns, [("", rows)])


def is_cuda(device: str) -> bool:
    """Whether a device is a CUDA device; the parts run on the CPU too, so that they can be tested there."""
    return device.startswith("cuda")


def emptied(device: str) -> int:
    """Give back what torch's allocator holds and nobody uses, cuBLAS's workspaces too; the bytes left."""
    gc.collect()
    if not is_cuda(device):
        return 0
    torch.cuda.synchronize(device)
    torch._C._cuda_clearCublasWorkspaces()
    torch.cuda.empty_cache()
    return torch.cuda.memory_reserved(device)


def ctxbench(*arguments: str, timeout_s: float) -> str:
    """Run the command line in a process of its own; empty, or why it failed in one line."""
    command = [sys.executable, "-m", "ctxbench", *arguments]
    try:
        ran = subprocess.run(
            command, env=os.environ, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        return f"`ctxbench {' '.join(arguments)}` took more than {timeout_s:.0f} s"
    said = ran.stderr.strip().splitlines() or [""]
    return f"`ctxbench {' '.join(arguments)}` ended {ran.returncode}: {said[-1]}" if ran.returncode else ""
