"""Try ctxbench on the chosen blocks: without an option, then with what its message asks for.

``python reports/blocks/try.py [SET]`` in the environment of ``install.sh``; SET is context or random, by
default both. Writes ``tried.csv``, a line a block, and goes on where it was interrupted. Input 1×64×32×48.

A block's MACs are compared with torch's FlopCounterMode on the very same call, with attention in its
mathematical form, since on a CPU that counter gives nothing to the fused one.
"""

from __future__ import annotations

import csv
import sys
import warnings
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:] = [path for path in sys.path if Path(path or ".").resolve() != HERE]

import torch  # noqa: E402
from torch.nn.attention import SDPBackend, sdpa_kernel  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from ctxbench.cli.values import options  # noqa: E402
from ctxbench.errors import UserError, ValuesNeededError  # noqa: E402
from ctxbench.sandbox.child import in_child  # noqa: E402
from ctxbench.sandbox.fake import fake_module, fake_tensors, undisturbed  # noqa: E402
from ctxbench.subject.bind import build_case  # noqa: E402
from ctxbench.subject.case import Case  # noqa: E402
from ctxbench.subject.cases import cases  # noqa: E402
from ctxbench.tracing import trace_case, views  # noqa: E402

CHANNELS, SIZE = 64, (32, 48)
MESSAGES = 2
"""Messages that are followed."""
FIELDS = (
    "set",
    "target",
    "messages",
    "outcome",
    "bound",
    "given",
    "macs",
    "torch_macs",
    "lower_bound",
    "said",
)


@dataclass
class Tried:
    """How one block went."""

    messages: int = 0
    outcome: str = "refused"
    bound: str = ""
    given: list[str] = field(default_factory=list)
    macs: int | None = None
    torch_macs: int | None = None
    lower_bound: bool = False
    said: str = ""


def tried(target: str) -> Tried:
    """Ask for the block, do what the messages say, and count it."""
    result = Tried()
    while True:
        try:
            (case,) = cases(target, channels=CHANNELS, sizes=[SIZE], options=options(result.given))
            break
        except UserError as error:
            result.said = str(error)
            result.messages += 1
            new = list(error.options) if isinstance(error, ValuesNeededError) else []
            if not new or result.messages > MESSAGES:
                return result
            result.given += new
    result.bound = case.bound
    try:
        in_process = in_child(partial(counted, case))
    except Exception as error:
        result.said = str(error)
        return result
    result.macs, result.torch_macs, result.lower_bound = in_process
    result.outcome = "ran"
    return result


def counted(case: Case) -> tuple[int, int, bool]:
    """Our MACs of a case, torch's, and whether ours are a lower bound."""
    trace = trace_case(case)
    torch.backends.mha.set_fastpath_enabled(False)
    fake = fake_tensors()
    with undisturbed():
        module = fake_module(partial(build_case, case), fake, case.shape)
        module.eval()
        with fake, torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            given = case.interface.given(module, case.shape, lambda shape, _: torch.empty(shape))
            module(*given.args, **given.kwargs)
    return views.macs(trace), counter.get_total_flops() // 2, trace.lower_bound


def main(wanted: list[str]) -> None:
    """Try what is chosen and not yet tried."""
    warnings.simplefilter("ignore")
    out = HERE / "tried.csv"
    done = {row["target"] for row in read(out)} if out.exists() else set()
    rows = [row for row in read(HERE / "chosen.csv") if not wanted or row["set"] in wanted]
    with out.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS)
        if not done:
            writer.writeheader()
        for row in rows:
            if row["target"] in done:
                continue
            result: Any = tried(row["target"])
            values = {**vars(result), "given": " ".join(result.given)}
            writer.writerow({"set": row["set"], "target": row["target"], **values})
            file.flush()
            print(row["target"], result.outcome, result.messages, result.bound or result.said, flush=True)


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    main(sys.argv[1:])
