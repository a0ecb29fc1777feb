"""Arguments and options that several verbs have, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ctxbench.cli import values
from ctxbench.subject import registry


def _names(incomplete: str) -> list[str]:
    """What a shell may complete a module's name to; in a comma list, its last."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in registry.names() if name.startswith(last)]


Modules = Annotated[
    list[str] | None,
    typer.Argument(
        help="Names, comma lists, all (of ctxbench list), file.py, file.py:Class, file.py:make, "
        "package.module:Class, each also with arguments: 'file.py:Block(C, 8, act=nn.GELU, fmap=(H, W))', in "
        "quotes. Default: Table 10's eight.",
        autocompletion=_names,
    ),
]
Module = Annotated[
    str,
    typer.Argument(
        help="A name, file.py, file.py:Class, file.py:make or package.module:Class, also with arguments: "
        "'file.py:Block(C, 8, act=nn.GELU)', in quotes.",
        autocompletion=_names,
    ),
]
_OPTION = "KEY=VALUE for each constructor, MODULE.KEY=VALUE for one; rank=8, act=nn:GELU, size=H//8"
Options = Annotated[
    list[str] | None,
    typer.Option(
        "-o",
        "--option",
        help=f"{_OPTION}.",
    ),
]
OptionsAxes = Annotated[
    list[str] | None,
    typer.Option("-o", "--option", help=f"{_OPTION}; rank=8,16 is an axis, pools=(1,2) a tuple."),
]
Inputs = Annotated[
    str | None,
    typer.Option(
        help="What a block takes that is not built in, where trials do not find it: 'x: N H W C', "
        "'q: N (H W) C; k: q; v: q; H; W'.",
    ),
]
Output = Annotated[
    str | None,
    typer.Option(help="Which output is looked at, by index or key; else the first with the map's sides."),
]
PresetName = Annotated[
    str | None,
    typer.Option("--preset", help="Build modules as a preset has them, such as table10; else as published."),
]
Channels = Annotated[
    Any,
    typer.Option(
        parser=values.integers("--channels"), metavar="N", help="Input channels; a comma list sweeps."
    ),
]
Sizes = Annotated[
    Any,
    typer.Option(
        parser=values.sizes("--size"),
        metavar="SIZE",
        help="Input size, 64 or 64x48 (H x W), or by comma.",
    ),
]
Size = Annotated[
    Any, typer.Option(parser=values.size("--size"), metavar="SIZE", help="Input size, 64 or 64x48 (H x W).")
]
Forms = Annotated[
    Any,
    typer.Option(
        "--implementation",
        "--form",
        parser=values.words,
        metavar="FORM",
        help="fast (default), published (the authors' operation order), or both by comma.",
    ),
]
Dtype = Annotated[str, typer.Option(help="float32, float64, bfloat16 or float16.")]
Device = Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")]
Budget = Annotated[
    Any,
    typer.Option(
        parser=values.seconds("--budget"),
        metavar="SECONDS",
        help="Seconds of latency sampling for each case, at most.",
    ),
]
Timeout = Annotated[
    Any,
    typer.Option(
        parser=values.seconds("--timeout"), metavar="SECONDS", help="Seconds any one step of a case may take."
    ),
]
Batch = Annotated[int, typer.Option(help="Batch size.")]
Implementation = Annotated[
    str | None,
    typer.Option(
        "--implementation", "--form", help="fast (default) or published (the authors' operation order)."
    ),
]
Batches = Annotated[
    Any,
    typer.Option(
        "--batch",
        parser=values.batches("--batch"),
        metavar="N",
        help="Batch size, or fit:512MiB: the largest whose predicted peak of memory, above parameters and "
        "input, is at most that.",
    ),
]
Dtypes = Annotated[
    Any,
    typer.Option(
        "--dtype",
        parser=values.words_of("dtype"),
        metavar="DTYPE",
        help="float32, float64, bfloat16 or float16; fp32, fp64, bf16, fp16, half for short.",
    ),
]
MemoryFormats = Annotated[
    Any,
    typer.Option(
        "--memory-format",
        parser=values.words_of("memory_format"),
        metavar="FORMAT",
        help="contiguous or channels_last (NHWC).",
    ),
]
Modes = Annotated[
    Any,
    typer.Option(
        "--mode",
        parser=values.words_of("mode"),
        metavar="MODE",
        help="infer (forward in eval mode) or train (forward and backward in training mode).",
    ),
]
Devices = Annotated[
    Any, typer.Option("--device", parser=values.words, metavar="DEVICE", help="cpu, cuda or cuda:N.")
]
Threads = Annotated[
    Any,
    typer.Option(
        "--threads",
        parser=values.integers("--threads"),
        metavar="N",
        help="CPU threads of every library; by default as many as each takes by itself.",
    ),
]
Runtimes = Annotated[
    Any,
    typer.Option(
        "--runtime",
        parser=values.words_of("runtime"),
        metavar="RUNTIME",
        help="What executes the module: eager, compile (torch.compile), onnxruntime or openvino.",
    ),
]
Where = Annotated[
    str,
    typer.Option(
        metavar="CONDITION",
        help='Cases to keep of all combinations: \'not (dtype == "bfloat16" and runtime == "compile")\'.',
    ),
]
ModeOption = Annotated[
    Literal["infer", "train"], typer.Option(help="Forward in eval mode, or forward and backward in training.")
]
Counter = Annotated[
    list[str] | None,
    typer.Option(
        help="Other counters: fvcore, thop, torch, ptflops, torchinfo, or none; repeatable, comma lists."
    ),
]
Folders = Annotated[list[Path], typer.Argument(parser=values.place, help="Folders of runs.")]
Columns = Annotated[
    Any,
    typer.Option(
        parser=values.words,
        metavar="NAMES",
        help="The table's columns, by comma: params,macs,flops,memory,latency,throughput,form, any of "
        "summary.csv.",
    ),
]
Sort = Annotated[str, typer.Option(metavar="COLUMN", help="Rows by this column, the least first.")]
Digits = Annotated[
    int | None, typer.Option(metavar="N", help="Significant digits; 3 for columns that were asked for.")
]
OwnRows = Annotated[
    Literal["last", "first"], typer.Option("--own", help="Where rows of your own modules stand.")
]
Csv = Annotated[Path | None, typer.Option(help="Also write the table as CSV here; - is stdout.")]
Md = Annotated[Path | None, typer.Option(help="Also write the table in Markdown here; - is stdout.")]
Tex = Annotated[
    Path | None,
    typer.Option(help="Also write the table in LaTeX here, and ctxbench.bib beside it; - is stdout."),
]
TexTable = Annotated[
    Path | None, typer.Option("--tex", help="Also write the table in LaTeX here; - is stdout.")
]
Log = Annotated[
    list[str] | None,
    typer.Option(
        metavar="LOGGERS",
        help="Loggers too: wandb, mlflow, by comma; each is an extra of that name, set up as it is anywhere.",
    ),
]
CHANNELS, SIZE = 512, "64"
"""Of the input, where a verb takes one."""
Weights = Annotated[Literal["best", "last"], typer.Option("--checkpoint", help="Which weights of the run.")]
