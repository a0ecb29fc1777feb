"""Fast forms against published forms and other people's code, in one process, rounds interleaved.

    python reports/speed/speed.py --shape 1,512,64,64 --threads 1 --mode infer --peers FOLDER

One call measures one shape, thread count and mode, and puts its rows into table.csv beside this file, in
place of those of an earlier call; README.md is written anew from the table. Peers are those of peers.toml.
"""

import argparse
import copy
import csv
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import floor
import peers
import torch
from torch import Tensor, nn

from ctxbench.errors import UserError
from ctxbench.files import write_text
from ctxbench.measure import stats
from ctxbench.measure.environment import environment
from ctxbench_modules import SPECS

HERE = Path(__file__).parent
HEADINGS = [
    "shape", "threads", "mode", "block", "peer", "fast_ms", "peer_ms", "peer/fast", "lo", "hi", "rounds",
    "largest difference", "floor_ms", "floor's share of MACs", "load before", "load after", "reason",
]  # fmt: skip
Shape = tuple[int, int, int, int]
Row = dict[str, str]


def runner(module: nn.Module, x: Tensor, mode: str) -> Callable[[], Tensor]:
    """One pass: forward in eval mode without gradient, or forward and backward in training mode."""
    if mode == "infer":
        module.eval()

        def infer() -> Tensor:
            with torch.inference_mode():
                return peers.output(module(x))

        return infer
    module.train()
    leaf = x.clone().requires_grad_()
    with torch.no_grad():
        gradient = torch.randn_like(peers.output(module(x)))

    def train() -> Tensor:
        leaf.grad = None
        module.zero_grad()
        y = peers.output(module(leaf))
        y.backward(gradient)
        return y.detach()

    return train


def rounds(parties: dict[str, Callable[[], Tensor]], seconds: float) -> dict[str, list[list[float]]]:
    """Milliseconds of each party in each round, in random order; at least six rounds after a warm-up."""
    clock = floor.clock()
    order, taken = list(parties), {name: list[list[float]]() for name in parties}
    shuffled = random.Random(0)
    for run in parties.values():
        run()
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(taken[order[0]]) < 6:
        shuffled.shuffle(order)
        for name in order:
            began = clock()
            parties[name]()
            taken[name].append([(clock() - began) * 1e3])
    return taken


def compare(block: str, shape: Shape, mode: str, folder: Path, seconds: float) -> list[Row]:
    """A row for the published form and for each peer, those that cannot be had with their reason."""
    torch.manual_seed(0)
    x = torch.randn(shape)
    fast = peers.ours(block, "fast", shape, {})
    peers.randomise(fast)
    published = peers.ours(block, "published", shape, {})
    published.load_state_dict(fast.state_dict())
    # Whoever has our defaults is held against one and the same fast form, whatever the weights.
    parties = {"fast": runner(fast, x, mode), "published": runner(published, x, mode)}
    against = {"published": ("fast", "")}
    differences = {"published": difference(fast, published, x)}
    missing: list[Row] = []
    for peer in (peer for peer in peers.known() if peer.block == block):
        try:
            theirs = peers.build(peer, folder, shape)
            form = peers.ours(block, "fast", shape, peer.ours)
            peers.share_weights(peer, theirs, form)
            name = f"fast {peer.ours}" if peer.ours else "fast"
            if not peer.differs:
                differences[peer.repository] = difference(form, theirs, x)
            parties[peer.repository] = runner(theirs, x, mode)
            parties.setdefault(name, runner(form, x, mode))
            against[peer.repository] = name, peer.differs
        except (peers.MissingError, ValueError, RuntimeError) as reason:
            missing.append(
                dict.fromkeys(HEADINGS, "")
                | {"block": block, "peer": peer.repository, "reason": str(reason).partition("\n")[0]}
            )
    taken = rounds(parties, seconds)
    least, share = floor.of(fast, shape) if mode == "infer" else (None, None)
    rows = []
    for name, (form_name, differs) in against.items():
        ours, theirs_ms = taken[form_name], taken[name]
        ratio, lo, hi = stats.ratio(ours, theirs_ms)
        rows.append(
            {
                "block": block,
                "peer": name,
                "fast_ms": f"{stats.summary(ours).median_ms:.2f}",
                "peer_ms": f"{stats.summary(theirs_ms).median_ms:.2f}",
                "peer/fast": f"{ratio:.3f}",
                "lo": f"{lo:.3f}",
                "hi": f"{hi:.3f}",
                "rounds": str(len(ours)),
                "largest difference": f"{differences[name]:.1e}" if name in differences else "",
                "floor_ms": "" if least is None else f"{least * 1e3:.2f}",
                "floor's share of MACs": "" if share is None else f"{share:.3f}",
                "reason": differs,
            }
        )
    return rows + missing


def difference(form: nn.Module, theirs: nn.Module, x: Tensor) -> float:
    """The largest difference of the outputs in eval mode, as a share of the largest value."""
    with torch.inference_mode():
        ours, other = (peers.output(copy.deepcopy(module).eval()(x)) for module in (form, theirs))
    return float((ours - other).abs().max() / other.abs().max())


def written(rows: list[Row]) -> None:
    """Put the rows into the table, in place of those of the same conditions, and write the page anew."""
    path = HERE / "table.csv"
    table = list(csv.DictReader(path.open(encoding="utf-8"))) if path.exists() else []
    key = ("shape", "threads", "mode", "block")
    new = {tuple(row[k] for k in key) for row in rows}
    table = [row for row in table if tuple(row[k] for k in key) not in new] + rows
    order = list(SPECS)
    table.sort(key=lambda row: (row["mode"], row["shape"], row["threads"], order.index(row["block"])))
    lines = [",".join(f'"{h}"' for h in HEADINGS)]
    lines += [",".join(f'"{row.get(heading, "")}"' for heading in HEADINGS) for row in table]
    write_text(path, "\n".join(lines) + "\n")
    write_text(HERE / "README.md", page(table))


def page(table: list[Row]) -> str:
    """README.md of the table."""
    machine = environment("cpu")
    loads = [float(row[when]) for row in table for when in ("load before", "load after")]
    lines = [
        "# Fast forms against published forms and other people's code",
        "",
        f"float32, published defaults, {machine['cpu']}, torch {machine['torch']}. The machine's load",
        f"(one minute) before and after was {min(loads):.1f} to {max(loads):.1f}; `table.csv` has it by row.",
        "A number is the time of the other implementation over that of the fast form, medians of passes",
        "taken in turn, in random order, in one process, with its 95 % interval; above 1 the fast form is",
        "quicker. With one thread the time is the process's CPU time, which other work disturbs least;",
        "with two it is the wall's. *infer* is forward in eval mode without gradient, *train* forward and",
        "backward in training mode. In `table.csv` `largest difference` is that of both outputs with the",
        "same weights, in eval mode and float32, as a share of the largest value. *floor* is the time of the",
        "fast form over that of its matrix products alone, each the best of four layouts into memory given",
        "to it, measured in the same process; in parentheses the share of its multiplications that they are:",
        "a 3×3 convolution is none of them.",
        "",
        "Made by `for mode in infer train; for threads in 1 2; for each shape below`:",
        "",
        "```bash",
        "python reports/speed/speed.py --shape 1,512,64,64 --threads 1 --mode infer --peers FOLDER",
        "```",
        "",
        "where `FOLDER/owner/name` are clones at the commits of `peers.toml`. Of their files the block's",
        "own definitions are executed and nothing else; `peers.py` has what stands in for mmcv and others.",
        "",
        "| repository | commit |",
        "|---|---|",
        *(f"| {r} | {c} |" for r, c in sorted({(p.repository, p.commit) for p in peers.known()})),
    ]
    for mode in sorted({row["mode"] for row in table}):
        of_mode = [row for row in table if row["mode"] == mode]
        conditions = list(dict.fromkeys((row["shape"], row["threads"]) for row in of_mode))
        lines += [
            "",
            f"## {mode}",
            "",
            "| block | against |" + "".join(f" {s}, {t} |" for s, t in conditions),
        ]
        lines += ["|---|---|" + "---:|" * len(conditions)]
        for block, peer in dict.fromkeys((row["block"], row["peer"]) for row in of_mode):
            cells = {
                (r["shape"], r["threads"]): r for r in of_mode if (r["block"], r["peer"]) == (block, peer)
            }
            lines.append(f"| {block} | {peer} |" + "".join(f" {cell(cells.get(c))} |" for c in conditions))
            if mode == "infer" and peer == "published":
                lines.append(
                    f"| {block} | *floor* |" + "".join(f" {near(cells.get(c))} |" for c in conditions)
                )
    slower = [r for r in table if r.get("hi") and float(r["hi"]) < 1]
    lines += ["", "## Where the fast form is slower", ""]
    lines += [
        f"- {r['block']}, {r['mode']}, {r['shape']}, {r['threads']} threads: {cell(r)} of {r['peer']}"
        for r in slower
    ] or ["Nowhere beyond its interval."]
    return "\n".join(lines) + "\n"


def cell(row: Row | None) -> str:
    """A ratio with its interval, or why there is none."""
    if row is None:
        return "not run"
    return f"{row['peer/fast']} ({row['lo']}–{row['hi']})" if row["peer/fast"] else row["reason"]


def near(row: Row | None) -> str:
    """How many times its products' time the fast form takes."""
    if row is None or not float(row["floor_ms"] or 0):
        return ""
    share = float(row["floor's share of MACs"])
    return f"{float(row['fast_ms']) / float(row['floor_ms']):.2f} ({share:.0%})"


def main() -> None:
    """Measure one shape, thread count and mode."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", default="1,512,64,64", help="N,C,H,W")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--mode", choices=("infer", "train"), default="infer")
    parser.add_argument("--blocks", default=",".join(s.name for s in SPECS.values() if "fast" in s.forms))
    parser.add_argument("--seconds", type=float, default=5.0, help="of rounds for each block")
    parser.add_argument("--peers", type=Path, default=HERE / "peers", help="the folder of their clones")
    asked = parser.parse_args()
    n, c, h, w = (int(side) for side in asked.shape.split(","))
    unknown = [block for block in asked.blocks.split(",") if block not in SPECS]
    if unknown:
        raise UserError(f"unknown block {unknown[0]!r}; one of {', '.join(SPECS)}")
    torch.set_num_threads(asked.threads)
    for block in asked.blocks.split(","):
        before = os.getloadavg()[0]
        rows = compare(block, (n, c, h, w), asked.mode, asked.peers, asked.seconds)
        conditions = {"shape": f"{n}×{c}×{h}×{w}", "threads": str(asked.threads), "mode": asked.mode}
        loads = {"load before": f"{before:.2f}", "load after": f"{os.getloadavg()[0]:.2f}"}
        for row in rows:
            row.update(conditions | loads)
            print(" ".join(row.get(k) or "–" for k in ("block", "peer", "fast_ms", "peer_ms", "peer/fast", "lo", "hi", "largest difference", "floor_ms", "reason")), flush=True)  # fmt: skip  # noqa: E501
        written(rows)


if __name__ == "__main__":
    main()
