"""Run each block by hand as its source says, in plain torch, and write the counts: `truth.csv`.

    /work/blocksvenv/bin/python reports/blocks/truth.py

`truth_context.txt` and `truth_random.txt` hold what was read in the sources, a block a line: layout of the
inputs, constructor arguments, inputs, which arguments are channels or sides, which nobody can know.
Expressions are Python, in which N, C, H, W stand for the case and `m(...)` for a random tensor. Each block
is built and run with real tensors at N = 2, and at N = 1 under torch's `FlopCounterMode`: MACs are half its
FLOPs. Nothing here knows ctxbench.
"""

from __future__ import annotations

import csv
import importlib
import multiprocessing
import sys
import sysconfig
import types
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

HERE = Path(__file__).parent
SIZES = {"C": 64, "H": 32, "W": 48}
IMPORT_FAULTS = (ImportError, AttributeError, TypeError)
COLUMNS = ["layout", "constructor", "inputs", "channels", "sides", "asked for", "kind", "note"]


def load(target: str, whole: bool = False) -> tuple[type, str]:
    """The class, and how it was imported: plainly or, unless `whole`, without its packages' `__init__`."""
    module, _, name = target.partition(":")
    try:
        return getattr(importlib.import_module(module), name), ""
    except IMPORT_FAULTS as fault:
        reason = f"{type(fault).__name__}: {fault}".splitlines()[0]
    root = module.partition(".")[0]
    for loaded in [each for each in sys.modules if each == root or each.startswith(root + ".")]:
        del sys.modules[loaded]
    if whole:
        raise ImportError(reason)
    parents = module.split(".")[:-1]
    for depth in range(1, len(parents) + 1):
        package = types.ModuleType(".".join(parents[:depth]))
        package.__path__ = [str(Path(sysconfig.get_path("purelib")).joinpath(*parents[:depth]))]
        sys.modules[package.__name__] = package
    return getattr(importlib.import_module(module), name), f"without __init__ ({reason})"


def shape(value: object) -> str:
    """Shapes of a tensor, or of what a tuple, list or dict holds."""
    if isinstance(value, torch.Tensor):
        return "x".join(map(str, value.shape))
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {shape(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "(" + ", ".join(map(shape, value)) + ")"
    return type(value).__name__


def run(target: str, constructor: str, inputs: str) -> dict[str, object]:
    """Counts and output shapes, or the fault."""
    names = {**SIZES, "m": torch.randn, "torch": torch, "nn": torch.nn}
    try:
        kind, imported = load(target)
        torch.manual_seed(0)
        block = eval(f"kind({constructor})", {**names, "kind": kind})
        block.eval()
        with torch.no_grad():
            block(*eval(f"({inputs},)", {**names, "N": 2}))
            # Only as plain products does FlopCounterMode see attention on a CPU.
            with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
                output = block(*eval(f"({inputs},)", {**names, "N": 1}))
    except (Exception, SystemExit) as fault:
        return {"fault": f"{type(fault).__name__}: {' '.join(str(fault).split())}"[:300]}
    parameters = sum(
        p.numel() for p in block.parameters() if not isinstance(p, torch.nn.UninitializedParameter)
    )
    macs = counter.get_total_flops() / 2
    return {"MACs": int(macs), "parameters": parameters, "output": shape(output), "import": imported}


def main() -> None:
    """Write `truth.csv`; with words of targets as arguments, only print those."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.backends.mha.set_fastpath_enabled(False)
    chosen = {row["target"]: row for row in csv.DictReader((HERE / "chosen.csv").open())}
    wanted = sys.argv[1:]
    header = ["set", "target", *COLUMNS, "MACs", "parameters", "output", "import", "fault"]
    rows = []
    for source in (HERE / "truth_context.txt", HERE / "truth_random.txt"):
        for line in source.read_text().splitlines() if source.is_file() else []:
            if line.startswith("#") or not line.strip():
                continue
            target, *values = (field.strip() for field in line.split(" |"))
            if target not in chosen:
                raise SystemExit(f"{source.name}: {target} was not chosen")
            if wanted and not any(each in target for each in wanted):
                continue
            told = dict(zip(COLUMNS, values, strict=True))
            try:
                load(target, whole=True)
                found = run(target, told["constructor"], told["inputs"])
            except ImportError:  # its packages' __init__ is left out, in a process of its own
                with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as fresh:
                    found = fresh.submit(run, target, told["constructor"], told["inputs"]).result()
            rows.append({"set": chosen[target]["set"], "target": target, **told, **found})
            print(target, found, flush=True)
    if not wanted:
        with (HERE / "truth.csv").open("w", newline="") as file:
            table = csv.DictWriter(file, header, lineterminator="\n")
            table.writeheader()
            table.writerows(rows)


if __name__ == "__main__":
    main()
