"""What somebody types who comes with a block of their own."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import strangers

Cli = Callable[..., tuple[int, str, str]]
FILE = strangers.__file__
SMALL = ("--channels", "24", "--size", "16x10")
QUICK = ("--budget", "0.05", "--counter", "none")


def test_what_is_asked_for_ends_in_a_command_that_runs(cli: Cli) -> None:
    code, out, said = cli("explain", f"{FILE}:make", *SMALL)
    assert (code, out, said.count("\n")) == (2, "", 1)
    assert "make needs ratio; for example -o ratio=4" in said
    command = shlex.split(said.partition("): ctxbench ")[2])
    assert command[: len(SMALL) + 2] == ["explain", f"{FILE}:make", *SMALL]
    code, out, said = cli(*command)
    assert (code, said) == (0, "")
    assert "make" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("explain", f"{FILE}:Wrong", *SMALL), "strangers.py:"),
        (("decode", f"{FILE}:Unknowable", "1G", *SMALL), "give --inputs"),
        (
            ("sweep", f"{FILE}:Inner(C, open('x'))", "--values", "8,16,32", *SMALL[:2]),
            "is not taken as a value",
        ),
        (("explain", f"{FILE}:Kernel", "--inputs", "x: N (H", *SMALL), "cannot read 'x: N (H'"),
        (("explain", f"{FILE}:Kernel", "--output", "2", *SMALL), "there is no output '2'"),
        (("explain", "emau", "--inputs", "x: N H W C", *SMALL), "not built in"),
        (("profile", f"{FILE}:Kernel", "-o", "size=(", *SMALL), "Kernel"),
    ],
)
def test_a_refusal_is_one_line(cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    code, out, error = cli(*arguments)
    assert (code, out) == (2, "")
    assert error.count("\n") == 1
    assert said in error


def test_traceback_shows_where_it_was_raised_wherever_it_is_typed(
    cli: Cli,
) -> None:
    for arguments in (
        ("explain", f"{FILE}:Wrong", *SMALL, "--traceback"),
        ("--traceback", "explain", "emauu"),
    ):
        code, _, error = cli(*arguments)
        assert code == 2
        assert "Traceback (most recent call last)" in error
        assert error.splitlines()[-1].startswith("ctxbench: ")


def test_calls_layouts_and_what_was_bound_stand_in_the_run(cli: Cli, tmp_path: Path) -> None:
    subjects = (f"{FILE}:Inner(C, C//8),{FILE}:Tokens", f"{FILE}:Strided")
    code, out, error = cli("profile", *subjects, *SMALL, *QUICK, "--out", str(tmp_path / "run"))
    assert code == 0, error
    assert "Tokens, bound: d_model=24; input N (H W) C, H, W." in out
    assert "Strided returns 1×24×8×5 for 1×24×16×10." in out.replace("\n ", " ")
    lines = (tmp_path / "run" / "records.jsonl").read_text().splitlines()
    records = {record["case"]["module"].rpartition(":")[2]: record for record in map(json.loads, lines)}
    assert set(records) == {"Inner(C, C // 8)", "Tokens", "Strided"}
    inner, tokens = records["Inner(C, C // 8)"], records["Tokens"]
    assert inner["macs"] == 2 * 24 * 3 * 160
    assert tokens["case"]["binding"]["inputs"] == "x: N (H W) C; H; W"
    assert all(record["status"] == "ok" and record["rounds_ms"] for record in records.values())


def test_what_was_bound_is_said_by_every_verb(cli: Cli) -> None:
    for verb in (
        ("explain", "--size", "16x10"),
        ("decode", "0.1M", "--size", "16x10"),
        ("sweep", "--values", "8,16,32"),
    ):
        code, out, error = cli(verb[0], f"{FILE}:Tokens", *verb[1:], "--channels", "24")
        assert code == 0, error
        assert "bound: d_model=24; input n (h w) c, h, w" in " ".join(out.lower().split())


def test_the_example_of_the_readme_is_bound(cli: Cli) -> None:
    example = Path(__file__).parents[2] / "docs" / "example" / "block.py"
    code, out, error = cli("explain", str(example), "--channels", "64", "--size", "16")
    assert code == 0, error
    assert "bound: dim=64; input N (H W) C, H, W" in out
