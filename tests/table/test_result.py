"""What the verbs return, as a prompt and a notebook show it."""

import re
from pathlib import Path

import pytest
from browser import Reader
from synthetic import record, records, write_run

import ctxbench
from ctxbench.table.result import Result
from ctxbench.table.terminal import LINE

SHAPE = (1, 64, 16, 16)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    home = tmp_path_factory.mktemp("results")
    return [write_run(home / name, measured) for name, measured in (("a", records()), ("b", records()[2:]))]


@pytest.fixture(scope="module")
def results(runs: list[Path]) -> dict[str, object]:
    """What each verb that counts, measures or compares returns."""
    return {
        "count": ctxbench.count("reconet", SHAPE),
        "explain": ctxbench.explain("reconet", SHAPE, counters=["torch"]),
        "trace": ctxbench.trace("reconet", SHAPE),
        "profile": ctxbench.load_run(runs[0]),
        "compare": ctxbench.compare(*runs),
        "sweep": ctxbench.sweep(["emau", "a2net"], values=[8, 16, 32], channels=16),
        "count_networks": ctxbench.count_networks("reconet", sizes=65, backbone="resnet-tiny"),
        "decode": ctxbench.decode("nonlocal", "21.47G", shape=(1, 64, 16, 16)),
    }


@pytest.mark.parametrize(
    ("verb", "said"),
    [
        ("count", ("TGM+TRM", "1×64×16×16, float32", " GMACs (every", " GFLOPs (2·", " M param", " MiB>")),
        ("explain", ("TGM+TRM", "1×64×16×16", " GMACs (every", " operations", "torch")),
        ("trace", ("input 1×64×16×16, output 1×64×16×16, float32, infer", " operations", " MACs forward")),
        ("profile", ("results0/a", "8 ok", "input 1×512×64×64 · float32", " ms>")),
        ("compare", ("B over A, threshold 5 %", "6 SAME", "2 only in A, 0 only in B", "float32")),
        (
            "sweep",
            (
                "along size",
                "6 cases of EMAUnit, A²Net",
                "exponents of MACs of the forward pass, predicted peak memory>",
            ),
        ),
        ("count_networks", ("reconet on resnet-tiny", " GMACs of every product")),
        ("decode", ("21.47 G", "nonlocal", "1×64×16×16", " fits")),
    ],
)
def test_a_prompt_shows_a_few_lines_with_shapes_conventions_and_units(
    results: dict[str, object], verb: str, said: tuple[str, ...]
) -> None:
    shown = repr(results[verb])
    lines = shown.splitlines()
    assert len(lines) <= 5
    assert max(map(len, lines)) <= 2 * LINE
    words = " ".join(shown.split())
    for part in said:
        assert part in words


@pytest.mark.parametrize("verb", ["count", "explain", "profile", "compare", "sweep", "count_networks"])
def test_a_notebook_shows_the_tables_of_a_result(results: dict[str, object], verb: str) -> None:
    result = results[verb]
    assert isinstance(result, Result)
    text = result._repr_html_()
    read = Reader(text)
    assert not read.open
    assert "<button" not in text  # nothing there could sort
    cells = re.findall(r'data-value="([^"]*)"', text)
    shown = [cell for grid in result.grids() for group in grid.groups for row in group.rows for cell in row]
    assert len(cells) == len(shown) > 0
    for grid in result.grids():
        for note in grid.notes:
            assert str(note).split("`")[0][:20].replace("<", "&lt;").replace(">", "&gt;") in text


def test_a_notebook_shows_the_operations_of_a_trace(results: dict[str, object]) -> None:
    trace = results["trace"]
    assert isinstance(trace, ctxbench.tracing.Trace)
    text = trace._repr_html_()
    assert "1×64×16×16" in text
    assert "aten.convolution.default" in text or "aten.bmm.default" in text
    assert len(text) < 40_000  # of hundreds of operations the first and the last


def test_a_count_that_lacks_operations_says_so(results: dict[str, object]) -> None:
    import dataclasses

    assert "≥ " in repr(dataclasses.replace(results["count"], lower_bound=True))


def test_a_run_without_samples_has_no_range(tmp_path: Path) -> None:
    lost = record("emau", status="oom", reason="out of memory", rounds_ms=[])
    assert "1 oom" in repr(ctxbench.load_run(write_run(tmp_path / "run", [lost])))
    assert "no latency measured" in " ".join(repr(ctxbench.load_run(tmp_path / "run")).split())
