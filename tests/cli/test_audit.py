"""The verb audit as a user types it: tables that are right, wrong, interrupted; what it prints and writes."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from audit.blocks import CONV, PRODUCTS, C, H, W

from ctxbench.audit import auditing

Run = Callable[..., int]
Refused = Callable[..., str]
BLOCKS = Path(__file__).parents[1] / "audit" / "blocks.py"
MACS = C * C * H * W
"""Of Pointwise: 41,216."""
SHAPE = f"1x{C}x{H}x{W}"


def table(path: Path, *rows: str, header: str = "label,subject,flops,parameters,shape") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def numbers(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_each_number_has_a_verdict_and_the_table_its_rule(
    run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    block, small = f"{BLOCKS}:Pointwise", CONV + sum(PRODUCTS)
    rows = (
        f"plain,{block},{MACS / 1e3:.3f}K,256,{SHAPE}",
        f"small,{BLOCKS}:Small,{small / 1e3:.3f}K,,{SHAPE}",
        f"twice,{block},{2 * MACS / 1e3:.3f}K,,{SHAPE}",
        f"elsewhere,{block},{C * C * 64 * 64 / 1e3:.3f}K,,{SHAPE}",
        f"slip,{block},77.712K,,{SHAPE}",
    )
    path = table(tmp_path / "table.csv", *rows)
    files = [f"--{kind}={tmp_path / f'out.{kind}'}" for kind in ("csv", "md", "tex", "html")]
    assert run("audit", str(path), *files) == 0
    shown = capsys.readouterr().out
    found = {(row["row"], row["kind"]): row for row in numbers((tmp_path / "out.csv").read_text())}
    assert [found[label, "FLOPs"]["verdict"] for label in ("plain", "small", "twice")] == ["reproduced"] * 3
    assert found["plain", "parameters"]["verdict"] == "reproduced"
    assert float(found["twice", "FLOPs"]["times_macs"]) == pytest.approx(2)
    assert found["twice", "FLOPs"]["note"].startswith("another rule: 2 per MAC")
    assert found["elsewhere", "FLOPs"]["verdict"] == "misleading"
    assert float(found["elsewhere", "FLOPs"]["times_macs"]) == pytest.approx(64 * 64 / (H * W))
    assert found["elsewhere", "FLOPs"]["note"].endswith("input 64×64")
    assert found["slip", "FLOPs"]["verdict"] == "not reproduced"
    assert {row["one_rule"] for (label, _), row in found.items() if label == "slip"} == {"41.216 K"}
    assert "2 of 5 FLOPs are given by MACs of convolutions and matrix products" in " ".join(shown.split())
    for kind, mark in (("md", "| elsewhere |"), ("tex", r"\toprule"), ("html", "<!doctype html>")):
        assert mark in (tmp_path / f"out.{kind}").read_text(encoding="utf-8")


def test_what_a_row_leaves_open_is_searched(
    run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Non-Local of width 4: four 1×1 of 16 to 4 channels, and two products with the positions squared."""
    macs = 4 * 16 * 4 * H * W + 2 * 4 * (H * W) ** 2
    path = table(tmp_path / "table.csv", f'open,"nonlocal(C, width=?, norm=?)",{macs / 1e3}K,,{SHAPE}')
    assert run("audit", str(path), "--csv", "-") == 0
    (row,) = numbers(capsys.readouterr().out)
    assert row["verdict"] == "reproduced"
    assert "width=C // 4" in row["configuration"]


def test_a_row_is_of_one_configuration_where_one_gives_its_numbers(
    run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """At width C the MACs are these FLOPs too; the parameters say that they are twice those of C/2."""
    path = table(tmp_path / "table.csv", 'NL,"nonlocal(C, width=?)",21.47G,0.53M,1x512x64x64')
    assert run("audit", str(path), "--csv", "-") == 0
    flops, parameters = numbers(capsys.readouterr().out)
    assert {flops["verdict"], parameters["verdict"]} == {"reproduced"}
    assert flops["counted"] == "2 per MAC of convolutions and matrix products (G = 10⁹)"
    assert flops["configuration"] == parameters["configuration"]
    assert "width=C // 2" in flops["configuration"]


def test_flops_and_parameters_of_two_configurations_contradict(
    run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    macs, parameters = 4 * 16 * 4 * H * W + 2 * 4 * (H * W) ** 2, 4 * 16 * 8 + 3 * 8 + 16
    path = table(
        tmp_path / "table.csv", f'apart,"nonlocal(C, width=?, norm=False)",{macs / 1e3}K,{parameters},{SHAPE}'
    )
    assert run("audit", str(path), "--fail-on", "contradicts", "--csv", "-") == 1
    told = capsys.readouterr()
    assert {row["verdict"] for row in numbers(told.out)} == {"contradicts its row"}
    assert "width=C // 4" in told.out
    assert "apart:" in told.err


WRONG = (
    'comma,{block},"41,216K",,{shape}',
    "unit,{block},41.216 apples,,{shape}",
    "kind,{block},88.00MB,,{shape}",
    "nothing,{block},,,{shape}",
    "shape,{block},41.216K,,big",
    ",,41.216K,,{shape}",
    "long,{block},41.216K,,{shape},more,cells",
)
SAYS = (
    "line 2: FLOPs '41,216K': a decimal point, not a comma: 41.216K",
    "line 3: FLOPs '41.216 apples'",
    "line 4: FLOPs '88.00MB': its unit is not known",
    "line 5: nothing is printed for",
    "line 6: shape 'big': such as 1x512x97x97",
    "line 7: it has no subject",
    "line 8: it has more cells than the header",
)


def test_a_wrong_row_is_one_line_and_the_good_ones_are_kept(
    run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    block = f"{BLOCKS}:Pointwise"
    good = f"good,{block},41.216K,,{SHAPE}"
    missing = f"gone,{tmp_path}/nowhere.py:Block,41.216K,,{SHAPE}"
    fails = f"fails,{BLOCKS}:Fails,41.216K,,1x{C}x{H}x{W + 1}"
    rows = [row.format(block=block, shape=SHAPE) for row in WRONG]
    assert run("audit", str(table(tmp_path / "t.csv", *rows, good, missing, fails)), "--csv", "-") == 0
    told = capsys.readouterr()
    complaints = [line for line in told.err.splitlines() if "line" in line and "t.csv" in line]
    assert len(complaints) == len(SAYS)
    for complaint, says in zip(complaints, SAYS, strict=True):
        assert says in complaint
    verdicts = {row["row"]: row for row in numbers(told.out)}
    assert {label: row["verdict"] for label, row in verdicts.items()} == {
        "good": "reproduced", "gone": "not counted", "fails": "not counted",
    }  # fmt: skip
    assert "no file" in verdicts["gone"]["counted"]
    assert "so many columns, please" in verdicts["fails"]["counted"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "a header with subject and flops, memory or parameters is needed"),
        ("nonlocal,21.47G\nemau,12.1G\n", "a header with subject and flops"),
        ("subject;flops\nnonlocal;21.47G\n", "a header with subject and flops"),
        ("subject,shape\nnonlocal,1x2x3x4\n", "a header with subject and flops"),
        (b"subject,flops\n\xff\xfe,1G\n", "is no text in UTF-8"),
    ],
)
def test_a_table_without_what_it_needs_is_one_line_and_code_2(
    refused: Refused, content: str | bytes, why: str, tmp_path: Path
) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    assert why in refused("audit", str(path))


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("no.csv",), "no.csv: No such file or directory"),
        ((), "give a table, or a paper"),
        (("--paper", "nobody"), "no table of 'nobody'; there are: "),
        (("--paper", "ccnet", "--fail-on", ","), "is a list of nothing"),
        (("--paper", "ccnet", "--fail-on", "wrong"), "no verdict; there are: reproduced, misleading"),
    ],
)
def test_nonsense_is_one_line_and_code_2(refused: Refused, arguments: tuple[str, ...], why: str) -> None:
    assert why in refused("audit", *arguments)


def test_a_million_rows_are_read_as_far_as_a_paper_goes(tmp_path: Path) -> None:
    from ctxbench.audit.rows import MAX_ROWS, read_table

    path = tmp_path / "many.csv"
    with path.open("w", encoding="utf-8") as many:
        many.write("subject,flops\n")
        many.writelines("se,1G\n" for _ in range(1_000_000))
    read = read_table(path)
    assert len(read.rows) == MAX_ROWS
    assert read.problems == (f"many.csv: over {MAX_ROWS:,} rows; the first {MAX_ROWS:,} are audited",)


def test_ctrl_c_leaves_what_was_found(
    run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    block, look = f"{BLOCKS}:Pointwise", auditing.look

    def interrupted(row: object, search: object) -> object:
        if row.label == "second":  # type: ignore[attr-defined]
            raise KeyboardInterrupt
        return look(row, search)  # type: ignore[arg-type]

    monkeypatch.setattr(auditing, "look", interrupted)
    rows = [f"{label},{block},41.216K,,{SHAPE}" for label in ("first", "second", "third")]
    assert run("audit", str(table(tmp_path / "t.csv", *rows)), "--csv", "-") == 130
    told = capsys.readouterr()
    assert [row["row"] for row in numbers(told.out)] == ["first"]
    assert "interrupted: 2 rows were not looked at" in told.err
