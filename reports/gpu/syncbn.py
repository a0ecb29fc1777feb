"""Whether two processes with synchronised batch norm compute what one does on the whole batch."""

import time
from dataclasses import replace
from pathlib import Path

import torch
from parity import off, tf32
from section import Section, is_cuda
from torch import Tensor, distributed, multiprocessing
from torch.nn import SyncBatchNorm

from ctxbench.subject.bind import build_case
from ctxbench.subject.case import Case

PROCESSES = 2
SAME = 1e-4
"""How far output and gradients may be off in the 2-norm, relatively: float32 sums in another order."""
Found = tuple[Tensor, Tensor]
"""The output (N, C', H, W) of a batch, and the gradients of all parameters as one vector."""


def computed(case: Case, x: Tensor, upstream: Tensor, synchronise: bool = False) -> Found:
    """A forward and backward pass in training mode, with seeded weights."""
    module = build_case(case)
    if synchronise:
        module = SyncBatchNorm.convert_sync_batchnorm(module)
    module.train().to(case.device)
    with tf32(False):
        y = module(x.to(case.device))
        y.backward(upstream.to(case.device))
    # as one vector: of a bias before a batch norm, whose gradient is 0, there is nothing but rounding
    return y.detach(), torch.cat([p.grad.flatten() for p in module.parameters() if p.grad is not None])


def batch_of(case: Case) -> tuple[Tensor, Tensor]:
    """The input (N, C, H, W), and the gradient of the output, which has the input's shape here."""
    generator = torch.Generator().manual_seed(2)
    x, upstream = (torch.randn(case.shape, generator=generator) for _ in range(2))
    return x, upstream


def _rank(rank: int, case: Case, folder: Path) -> None:
    """One process: its part of the batch; the first one writes what all of them found together."""
    if is_cuda(case.device):
        case = replace(case, device=f"cuda:{rank}")
        torch.cuda.set_device(rank)
    distributed.init_process_group(
        "nccl" if is_cuda(case.device) else "gloo",
        init_method=f"file://{folder}/store",
        rank=rank,
        world_size=PROCESSES,
    )
    x, upstream = (whole.chunk(PROCESSES)[rank] for whole in batch_of(case))  # (N / PROCESSES, C, H, W)
    y, gradient = computed(case, x, upstream, synchronise=is_cuda(case.device))
    parts = [torch.empty_like(y) for _ in range(PROCESSES)]
    distributed.all_gather(parts, y.contiguous())
    distributed.all_reduce(gradient)
    if rank == 0:
        torch.save((torch.cat(parts).cpu(), gradient.cpu()), folder / "found.pt")
    distributed.destroy_process_group()


def section(device: str, case: Case, folder: Path, deadline: float) -> Section:
    """The part of the report: a pass of one block with batch norm and as many channels out as in."""
    title = "Batch norm over two processes"
    if is_cuda(device) and (there := torch.cuda.device_count()) < PROCESSES:
        return Section(title, text=[f"Not checked: it takes {PROCESSES} GPUs, and there is {there}."])
    folder.mkdir()
    ranks = multiprocessing.spawn(_rank, (case, folder), nprocs=PROCESSES, join=False)
    while not ranks.join(timeout=1):
        if time.monotonic() > deadline:
            for process in ranks.processes:
                process.kill()
            return Section(title, wrong=["the processes did not end in time"])
    exact, found = computed(case, *batch_of(case)), torch.load(folder / "found.pt")
    output, gradient = (off(f.to(device), e.double()) for f, e in zip(found, exact, strict=True))
    text = [
        f"{case.module}, {PROCESSES} processes with a part each of {case.batch} maps, against one with all: "
        f"the output is off by {output:.1e}, the gradient of all weights by {gradient:.1e}."
    ]
    same = output <= SAME and gradient <= SAME  # neither holds of nan
    wrong = [] if same else [f"off by {output:.1e} and {gradient:.1e}"]
    return Section(title, text=text, wrong=wrong)
