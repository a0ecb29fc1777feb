from dataclasses import replace

from synthetic import record, records, rounds

from ctxbench.measure.records import Record
from ctxbench.report.columns import summary
from ctxbench.report.layout import grid
from ctxbench.table.grid import Grid
from ctxbench.table.html import grid_html, sort_value
from ctxbench.table.latex import grid_latex
from ctxbench.table.markdown import grid_markdown
from ctxbench.table.terminal import plain


def column(table: Grid, name: str) -> list:
    at = [heading.name for heading in table.headings].index(name)
    return [row[at] for group in table.groups for row in group.rows]


def timed(module: str, median_ms: float, seed: int) -> Record:
    return record(module, rounds_ms=rounds(median_ms, seed))


def test_the_title_says_what_all_rows_share() -> None:
    title = grid(records()).title
    for word in ("1×512×64×64", "float32", "contiguous", "infer", "cpu", "Synthetic CPU", "torch 2.13.0+cpu"):
        assert word in title


def test_rows_of_a_sweep_are_grouped_by_size() -> None:
    table = grid(records(64, 64) + records(32, 48))
    assert [(g.label, len(g.rows)) for g in table.groups] == [
        ("input 1×512×32×48", 8),
        ("input 1×512×64×64", 8),
    ]
    assert "1×512" not in table.title


def test_the_best_count_is_marked_and_a_tie_is_not() -> None:
    best = [cell.best for cell in column(grid(records()), "gmacs")]
    assert best == [True] + [False] * 7
    tie = grid([record("emau"), replace(record("afnb"), macs=record("emau").macs)])
    assert not any(cell.best for cell in column(tie, "gmacs"))


def test_the_fastest_is_marked_only_when_surely_fastest() -> None:
    clear = column(grid([timed("emau", 50, 1), timed("afnb", 40, 2)]), "lat_median_ms")
    assert [cell.best for cell in clear] == [False, True]
    close = column(grid([timed("emau", 50, 1), timed("afnb", 49.9, 2)]), "lat_median_ms")
    assert not any(cell.best for cell in close)


def test_noisy_rows_are_marked_and_explained() -> None:
    table = grid([record("emau", rounds_ms=rounds(50, seed=1, spread=0.5, count=5)), record("afnb")])
    assert [cell.text[0] == "~" for cell in column(table, "lat_median_ms")] == [True, False]
    assert any("noisy" in note for note in table.notes)


def test_an_empty_cell_refers_to_its_reason() -> None:
    gone = record("afnb", status="oom", reason="132 MiB wanted", rounds_ms=[], alloc_bytes=None)
    table = grid([record("emau"), gone])
    assert (column(table, "lat_median_ms")[1].text, column(table, "lat_median_ms")[1].note) == ("–", 1)
    assert table.footnotes == ["132 MiB wanted"]


def test_columns_nobody_measured_are_named() -> None:
    table = grid(records())
    assert "mem_reserved_mib" not in [heading.name for heading in table.headings]
    assert "Not measured: memory reserved (MiB) — the CPU has no caching allocator." in table.notes


def untraced(module: str, reason: str) -> Record:
    fields = ("params", "macs", "flops", "bytes", "published_macs", "act_bytes", "peak_pred_bytes")
    return record(module, **dict.fromkeys(fields), reasons=dict.fromkeys(fields, reason))


def test_counts_keep_their_columns_where_nothing_was_counted() -> None:
    table = grid([untraced("emau", "no fake kernel")])
    for name in ("published_gmacs", "gmacs", "gflops"):
        (cell,) = column(table, name)
        assert (cell.text, table.footnotes[cell.note - 1]) == ("–", "no fake kernel")


def test_missing_columns_are_named_once_for_each_reason() -> None:
    (note,) = [n for n in grid([untraced("emau", "no fake kernel")]).notes if "no fake kernel" in n]
    assert note == "Not measured: params (M), memory saved (MiB), memory predicted (MiB) — no fake kernel."


def test_reasons_that_differ_name_their_modules() -> None:
    notes = grid([untraced("emau", "no fake kernel"), untraced("afnb", "lazy weights")]).notes
    assert (
        "Not measured: params (M), memory saved (MiB), memory predicted (MiB) — "
        "EMAUnit: no fake kernel; AFNB: lazy weights."
    ) in notes


def test_an_incomplete_count_neither_wins_nor_lets_a_dearer_one_win() -> None:
    lacking = record("emau", macs=1, flops=1, unknown_ops={"aten.hardswish.default": 2})
    table = grid([lacking, record("afnb")])
    for name in ("gmacs", "gflops"):
        assert not any(cell.best for cell in column(table, name))
    assert "Not counted, for want of a formula: EMAUnit: aten.hardswish.default ×2." in table.notes
    dear = replace(lacking, macs=10**12, flops=10**12)
    assert [cell.best for cell in column(grid([dear, record("afnb")]), "gmacs")] == [False, True]


def test_every_drawer_marks_an_incomplete_count_as_a_lower_bound_and_a_file_keeps_the_number() -> None:
    lacking, whole = record("emau", unknown_ops={"aten.hardswish.default": 2}), record("afnb")
    table = grid([replace(each, case=replace(each.case, mode="train")) for each in (lacking, whole)])
    for name in ("published_gmacs", "gmacs", "gflops", "bwd_gmacs"):
        first, second = column(table, name)
        assert first.text.startswith("≥ ")
        assert "≥" not in second.text
        assert first.text in grid_markdown(table)
        assert first.text.replace("≥", r"$\geq$") in grid_latex(table, "", "")
        assert first.text in grid_html(table)
        (heading,) = [heading for heading in table.headings if heading.name == name]
        assert float(sort_value(heading, first.text)) == float(first.text.removeprefix("≥ "))
    (macs, _) = column(table, "gmacs")
    assert macs.text in plain([table])
    assert summary([lacking]).loc[0, "gmacs"] == lacking.macs / 1e9  # type: ignore[operator]


def test_how_a_module_was_traced_is_said_of_it() -> None:
    table = grid([record("emau", note="recorded on real tensors"), record("afnb")])
    assert "Traced differently: EMAUnit: recorded on real tensors." in table.notes


def test_train_mode_says_which_columns_are_of_the_forward_pass() -> None:
    emau = record("emau")
    trained = grid([replace(emau, case=replace(emau.case, mode="train"))])
    assert any(note.startswith("In train mode") for note in trained.notes)
    assert column(trained, "bwd_gmacs")[0].text == "6.174"
    assert not any("train mode" in note for note in grid([emau]).notes)


def test_what_other_counters_missed_is_said_once_for_equal_lists() -> None:
    notes = grid([record("emau"), record("afnb")]).notes
    assert (
        "fvcore, run on the published form, missed products in EMAUnit, AFNB: aten::mul ×64, aten::softmax."
        in notes
    )
    assert not any(note.startswith("torch,") for note in notes)


def test_a_strangers_module_is_titled_by_its_class() -> None:
    own = record("emau")
    table = grid([replace(own, case=replace(own.case, module="/tmp/blocks.py:Mixer", options={}))])
    assert column(table, "title")[0].text == "Mixer"


def test_classes_of_one_name_are_told_apart_by_their_files() -> None:
    own = record("emau")
    places = ("my/blocks.py", "v2/blocks2.py", "other.package")
    rows = [replace(own, case=replace(own.case, module=f"{place}:Mixer", options={})) for place in places]
    assert [cell.text for cell in column(grid(rows), "title")] == [
        "blocks.py:Mixer",
        "blocks2.py:Mixer",
        "other.package:Mixer",
    ]
    of_one_file = [replace(own, case=replace(own.case, module=f"{v}/m.py:Mixer", options={})) for v in "ab"]
    assert [cell.text for cell in column(grid(of_one_file), "title")] == ["a/m.py:Mixer", "b/m.py:Mixer"]


def under(row: Record, **conditions: object) -> Record:
    """A record as it would be of its case under other conditions."""
    return replace(row, case=replace(row.case, **conditions))  # type: ignore[arg-type]


def test_rows_are_grouped_by_threads_and_runtime_and_the_title_says_what_they_share() -> None:
    rows = [
        replace(under(row, threads=n, runtime=runtime), threads={"torch": n})
        for n in (1, 4)
        for runtime in ("eager", "compile")
        for row in (record("emau"), record("afnb"))
    ]
    table = grid(rows)
    assert [(group.label, len(group.rows)) for group in table.groups] == [
        ("eager · 1 CPU thread", 2),
        ("compiled · 1 CPU thread", 2),
        ("eager · 4 CPU threads", 2),
        ("compiled · 4 CPU threads", 2),
    ]
    assert "thread" not in table.title
    assert "4 CPU threads" in grid(rows[4:]).title
    assert "2 CPU threads" not in grid(rows[4:]).title, "of the machine, which these did not take"
    assert "1 CPU thread ·" in f"{grid(rows[:2]).title} ·"


def test_rows_of_one_module_are_told_apart_by_the_options_that_vary() -> None:
    rows = [under(record("emau"), options={"bases": k, "iterations": 3}) for k in (32, 64)]
    assert [cell.text for cell in column(grid(rows), "title")] == ["EMAUnit, bases=32", "EMAUnit, bases=64"]
    both = [under(row, implementation=form) for row in rows for form in ("fast", "published")]
    assert {cell.text for cell in column(grid(both), "title")} == {"EMAUnit, bases=32", "EMAUnit, bases=64"}


def test_compiled_rows_say_how_long_that_took_and_where_the_graph_broke() -> None:
    row = under(record("emau"), runtime="compile")
    compiled = replace(row, compile_s=3.25, graph_breaks={"a print": 2, "a loop": 1})
    table = grid([compiled, record("emau")])
    assert [cell.text for cell in column(table, "compile_s")] == ["3.250", "–"]
    assert [cell.text for cell in column(table, "graph_breaks")] == ["3", "–"]
    assert "Graph breaks: EMAUnit: a print ×2, a loop." in table.notes
    assert "compile_s" not in [heading.name for heading in grid([record("emau")]).headings]
    frame = summary([compiled])
    assert "graph breaks: a print ×2, a loop" in frame.loc[0, "reason"]


def test_rows_of_other_runtimes_say_how_far_they_are_off_and_what_ran_otherwise() -> None:
    listed = {
        "elsewhere": {"Conv in float32": 3, "Add in float32": 1},
        "decomposed": {"adaptive_avg_pool2d": 4},
    }
    row = replace(
        under(record("emau"), runtime="onnxruntime"),
        compile_s=2.5,
        output_error=3.21e-7,
        threads={"onnxruntime": 3},
        **listed,
    )
    table = grid([row, record("emau")])
    assert [cell.text for cell in column(table, "output_error")] == ["3.2e-07", "–"]
    assert "graph_breaks" not in [heading.name for heading in table.headings], "of torch.compile alone"
    assert "held against itself" in table.footnotes
    assert "Ran otherwise than asked for: EMAUnit: onnxruntime in float32." in table.notes
    assert "Written as several operations by the exporter: EMAUnit: adaptive_avg_pool2d ×4." in table.notes
    frame = summary([row])
    assert frame.loc[0, "threads"] == 3
    assert "decomposed: adaptive_avg_pool2d ×4" in frame.loc[0, "reason"]
    assert "ran otherwise: Conv in float32 ×3, Add in float32" in frame.loc[0, "reason"]
    assert "output_error" not in [heading.name for heading in grid([record("emau")]).headings]
