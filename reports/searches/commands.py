"""Random command lines: each is answered, or refused in one line with exit code 2, and none is a defect.

``python reports/searches/commands.py --count 1000`` draws a verb, some of its options from Typer's own
declaration, and a value for each, from a list of nasty ones or of right ones. It runs the line in this
process, in a folder with the runs, data sets and files that tests/bad_place.py writes. Prints each line that
ended in any other way, then the figures. Verbs that would measure or train are left out.
"""

import argparse
import io
import os
import random
import shlex
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import typer

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
from bad_place import DEEP, LONG, bad_place

from ctxbench.cli import main
from ctxbench.cli.app import app

SECONDS = 60
VERBS = ("env", "explain", "decode", "sweep", "compare", "report", "attention", "eval", "data check")
WORDS = (
    *(
        "",
        " ",
        ",",
        "-",
        "--",
        "=",
        "0",
        "-1",
        "1",
        "2",
        "8",
        "9",
        "1.5",
        "nan",
        "inf",
        "-inf",
        "1e400",
        "1e-320",
    ),
    *(
        "9" * 30,
        "٣",
        "true",
        "None",
        "a\nb",
        "é",
        "\U0001f600",
        "\x1b[31m",
        "[1, 2]",
        "()",
        "{'a': 1}",
        "8x9",
        "8×9",
    ),
    *(
        "8,9,10",
        "1,,2",
        "cpu",
        "cuda:99",
        "train",
        "infer",
        "fast",
        "published",
        "float16",
        "best",
        "last",
        "val",
    ),
    *("median:5%", "median:-0%", "rank", "rank=2", "rank=", "se.reduction=2", "folder", "voc12", "se", "cam"),
    *("block.py:Block", "block.py:RaisesInForward", "19.33G", "88.00MB", "data", "run", "profiled", "empty"),
    *(
        "image.png",
        "mask.png",
        "cut.png",
        "block.py",
        "link",
        "loop",
        "predictions",
        "x.csv",
        "folder.png",
        LONG,
        DEEP,
    ),
)

RIGHT = {
    **dict.fromkeys(("module", "modules"), ("se", "cam", "block.py:Block")),
    **dict.fromkeys(("run_a", "run_b"), ("profiled", "elsewhere")),
    **dict.fromkeys(("channels", "size", "batch"), ("8", "4")),
    **{"run": ("run", "profiled"), "image": ("image.png",), "name": ("folder",), "root": ("data",)},
    **{"printed": ("19.33G",), "points": ("8,9,10",), "scales": ("1", "1,2"), "counter": ("none", "torch")},
    **{"dataset": ("folder",), "truth": ("mask.png",), "ranks": ("0", "1,2"), "picture": ("x.png",)},
}
"""Values that each is given three times out of four, so that lines get further than their first word."""


def draw_line(draw: random.Random) -> list[str]:
    """A verb, its arguments, and up to four of its options, with values."""
    verb = draw.choice(VERBS)
    command = typer.main.get_command(app)
    for name in verb.split():
        command = command.commands[name]
    words = verb.split()
    for parameter in command.params:
        option = next((name for name in parameter.opts if name.startswith("-")), None)
        if parameter.name == "latency":  # would measure
            continue
        if option is None:
            words += [value(parameter.name, draw) for _ in range(draw.choice((0, *[1] * 10, 2)))]
        elif draw.random() < (1 / 2 if parameter.name in RIGHT else 1 / len(command.params)):
            words += (
                [option] if getattr(parameter, "is_flag", False) else [option, value(parameter.name, draw)]
            )
    return words


def value(name: str, draw: random.Random) -> str:
    """A value for the parameter of that name."""
    return draw.choice(RIGHT[name] if name in RIGHT and draw.random() < 3 / 4 else WORDS)


def ended(words: list[str]) -> tuple[object, str]:
    """A line's exit code, and what it said on stderr."""
    error = io.StringIO()
    sys.argv = ["ctxbench", *words]
    signal.alarm(SECONDS)
    try:
        with redirect_stderr(error), redirect_stdout(io.StringIO()):
            main()
    except SystemExit as left:
        return left.code or 0, error.getvalue()
    except TimeoutError:
        return "took long", error.getvalue()
    except BaseException:
        return "raised", traceback.format_exc()
    finally:
        signal.alarm(0)
    return 0, error.getvalue()


def too_long(*_: object) -> None:
    """What the alarm calls."""
    raise TimeoutError


def main_search() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    draw, figures = random.Random(arguments.seed), Counter[str]()
    place = Path(tempfile.mkdtemp(prefix="ctxbench-commands-"))
    (place / "kept").mkdir()
    bad_place(place / "kept")
    signal.signal(signal.SIGALRM, too_long)
    warnings.simplefilter("ignore")
    for _ in range(arguments.count):
        words = draw_line(draw)
        work = place / "work"
        if not work.exists():
            shutil.copytree(place / "kept", work, symlinks=True)
        os.chdir(work)
        code, said = ended(words)
        os.chdir(place)
        if code in (0, 3):  # it may have written
            shutil.rmtree(work)
        wrong = code not in (0, 1, 2, 3, 4) or (code == 2 and words[0] != "data" and said.count("\n") != 1)
        figures["defects" if wrong else {2: "refused"}.get(code, "answered")] += 1  # type: ignore[call-overload]
        if wrong:
            print(f"{shlex.join(words)[:300]!r}: {code}: {said[-600:]}", flush=True)
    print(f"{arguments.count} command lines: {dict(figures)}")
    shutil.rmtree(place)


if __name__ == "__main__":
    main_search()
