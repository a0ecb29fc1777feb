"""Grids of cases: how many there are, in which order, and which are left out."""

from collections.abc import Sequence
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxbench.errors import UserError
from ctxbench.subject import axes
from ctxbench.subject.bind import build_case
from ctxbench.subject.case import Case
from ctxbench.subject.cases import cases, read_cases

LISTS: dict[str, st.SearchStrategy[list[Any]]] = {
    "channels": st.lists(st.integers(1, 512), min_size=1, max_size=2, unique=True),
    "sizes": st.lists(
        st.integers(1, 64) | st.tuples(st.integers(65, 99), st.integers(1, 64)),
        min_size=1,
        max_size=2,
        unique=True,
    ),
    "options": st.lists(
        st.builds(lambda k: {"bases": k}, st.integers(1, 9)), min_size=1, max_size=3, unique_by=str
    ),
    "implementations": st.just(["fast", "published"]),
    "batch": st.lists(st.integers(1, 8), min_size=1, max_size=2, unique=True),
    "dtype": st.lists(st.sampled_from(["float32", "bfloat16", "float64"]), min_size=1, unique=True),
    "layout": st.lists(st.sampled_from(["contiguous", "channels_last"]), min_size=1, unique=True),
    "mode": st.lists(st.sampled_from(["infer", "train"]), min_size=1, unique=True),
    "device": st.lists(st.sampled_from(["cpu", "cuda:1"]), min_size=1, unique=True),
    "threads": st.lists(st.integers(1, 64), min_size=1, max_size=2, unique=True),
    "runtime": st.lists(st.sampled_from(["eager", "compile"]), min_size=1, unique=True),
}
"""Lists for each axis, in the order of the arguments; three of them are lists in one grid."""
GRIDS = (
    st.lists(st.sampled_from(list(LISTS)), min_size=1, max_size=3, unique=True)
    .flatmap(lambda names: st.fixed_dictionaries({name: LISTS[name] for name in names}))
    .map(lambda lists: {name: lists[name] for name in LISTS if name in lists})
)


def on_axis(name: str, case: Case) -> Any:
    """What a case has of an argument."""
    if name == "sizes":
        return axes.AXES["size"](case)
    field = {"implementations": "implementation"}.get(name, name)
    return getattr(case, field)


@settings(max_examples=50)
@given(GRIDS)
def test_a_grid_is_every_combination_in_the_order_of_the_arguments(lists: dict[str, list[Any]]) -> None:
    grid = cases("emau", **lists)
    assert len(grid) == prod(map(len, lists.values()))
    found = [tuple(on_axis(name, case) for name in lists) for case in grid]
    assert found == list(product(*lists.values()))
    assert len({case.id for case in grid}) == len(grid)


@settings(max_examples=25)
@given(GRIDS)
def test_a_value_twice_makes_no_case_twice(lists: dict[str, list[Any]]) -> None:
    assert cases("emau", **{name: [*values, values[0]] for name, values in lists.items()}) == cases(
        "emau", **lists
    )


def test_an_option_of_one_module_makes_no_case_of_another_twice() -> None:
    grid = cases(["emau", "nonlocal"], options=[{"emau.bases": k} for k in (1, 2, 3)])
    assert [(case.module, case.config) for case in grid] == [
        ("emau", "bases=1"),
        ("emau", "bases=2"),
        ("emau", "bases=3"),
        ("nonlocal", ""),
    ]


def test_of_several_forms_a_module_that_has_one_is_there_in_that() -> None:
    grid = cases(["emau", "se"], implementations=["fast", "published"])
    assert [(c.module, c.implementation) for c in grid] == [
        ("emau", "fast"),
        ("emau", "published"),
        ("se", "single"),
    ]


def test_a_form_asked_for_alone_is_not_taken_for_another() -> None:
    (case,) = cases("se", implementations="published", channels=4)
    assert case.implementation == "published"
    with pytest.raises(UserError, match="has one implementation; 'published' was asked for"):
        build_case(case)


def test_a_strangers_block_has_the_forms_that_its_constructor_takes(tmp_path: Path) -> None:
    (tmp_path / "forms.py").write_text(
        "from torch import nn\n"
        "class One(nn.Conv2d):\n"
        "    def __init__(self, channels, kernel: int = 1):\n"
        "        super().__init__(channels, channels, kernel)\n"
        "class Two(One):\n"
        "    def __init__(self, channels, kernel: int = 1, implementation='fast'):\n"
        "        super().__init__(channels, kernel)\n"
    )
    names = [f"{tmp_path / 'forms.py'}:{name}" for name in ("One", "Two")]
    options = [{"kernel": 1}, {"kernel": 3}]
    grid = cases(names, implementations=["fast", "published"], options=options, channels=4, sizes=5)
    assert [(c.module.rpartition(":")[2], c.implementation, c.options["kernel"]) for c in grid] == [
        ("One", "single", 1),
        ("One", "single", 3),
        *(("Two", form, k) for k in (1, 3) for form in ("fast", "published")),
    ]


DTYPES = {
    "fp32": "float32",
    "float": "float32",
    "fp64": "float64",
    "double": "float64",
    "bf16": "bfloat16",
    "fp16": "float16",
    "half": "float16",
}


@pytest.mark.parametrize("short", sorted(axes.SHORT.keys() | DTYPES.keys()))
def test_a_dtype_may_be_short(short: str) -> None:
    (case,) = cases("emau", dtype=short)
    assert case.dtype == DTYPES[short]


GRID = cases(
    ["emau", "nonlocal"],
    sizes=[8, (8, 6)],
    batch=[1, 2],
    dtype=["float32", "bfloat16"],
    threads=[1, 2],
    runtime=["eager", "compile"],
)

VALUES: dict[str, Sequence[Any]] = {
    "module": ["emau", "nonlocal", "se"],
    "size": [8, (8, 6)],
    "batch": [1, 2, 3],
    "height": [8, 9],
    "width": [6, 7, 8],
    "dtype": ["float32", "bfloat16"],
    "threads": [1, 2],
    "runtime": ["eager", "compile"],
}
COMPARISONS = st.sampled_from(list(VALUES)).flatmap(
    lambda name: (
        st.builds(
            lambda op, value: f"{name} {op} {value!r}",
            st.sampled_from(["==", "!="]),
            st.sampled_from(VALUES[name]),
        )
        | st.builds(
            lambda op, values: f"{name} {op} {tuple(values)!r}",
            st.sampled_from(["in", "not in"]),
            st.lists(st.sampled_from(VALUES[name]), min_size=1),
        )
    )
) | st.builds(
    lambda name, op, value: f"{name} {op} {value}",
    st.sampled_from(["batch", "width", "threads"]),
    st.sampled_from(["<", "<=", ">", ">="]),
    st.integers(0, 9),
)
CONDITIONS = st.recursive(
    COMPARISONS,
    lambda inner: (
        st.builds("not ({})".format, inner)
        | st.builds("({}) and ({})".format, inner, inner)
        | st.builds("({}) or ({})".format, inner, inner)
    ),
    max_leaves=5,
)


@settings(max_examples=50)
@given(CONDITIONS)
def test_a_condition_keeps_what_python_would(text: str) -> None:
    """Python itself is the oracle, which the condition never reaches: the text is this test's own."""
    holds = axes.condition(text)
    for case in GRID:
        names = {name: axes.AXES[name](case) for name in axes.AXES}
        assert holds(case) == eval(text, {"__builtins__": {}}, names), text


def test_where_leaves_cells_out_and_keeps_the_order() -> None:
    kept = cases(
        ["emau", "nonlocal"],
        dtype=["fp32", "bf16"],
        runtime=["eager", "compile"],
        where='not (dtype == "bf16" and runtime == "compile")',
    )
    assert [(case.module, case.dtype, case.runtime) for case in kept] == [
        (module, *pair)
        for module in ("emau", "nonlocal")
        for pair in (("float32", "eager"), ("float32", "compile"), ("bfloat16", "eager"))
    ]


def test_an_option_is_an_axis_of_the_modules_that_have_it() -> None:
    options = [{"emau.bases": k} for k in (1, 2, 3)]
    kept = cases(["emau", "nonlocal"], options=options, where="bases > 1 or module == 'nonlocal'")
    assert [case.config for case in kept] == ["bases=2", "bases=3", ""]


def test_a_batch_may_be_the_memory_that_it_is_to_fit() -> None:
    grid = cases("emau", batch=[1, "fit:64MiB", " FIT: 64 mib", "fit:65MiB"], threads=[1, 2])
    asked = [(1, ""), (1, "fit:64MiB"), (1, "fit:65MiB")]
    assert [(case.batch, case.fit, case.threads) for case in grid] == [
        (*batch, threads) for batch in asked for threads in (1, 2)
    ]
    assert len({case.id for case in grid}) == len(grid)
    assert [Case.from_json(case.to_json()) for case in grid] == grid


def test_a_condition_calls_a_batch_that_is_to_be_found_as_it_was_typed() -> None:
    def kept(where: str) -> list[str]:
        return [str(case.fit or case.batch) for case in cases("se", batch=[8, "fit:1MiB"], where=where)]

    assert kept("batch != 8") == kept("batch == 'fit:1mib'") == ["fit:1MiB"]
    assert kept("batch in (8, 'fit:2MiB')") == kept("batch != 'fit:1MiB' and batch > 1") == ["8"]
    with pytest.raises(UserError, match=r"batch > 1 compares 'fit:1MiB' with 1; say batch == \"fit:1MiB\""):
        kept("batch > 1")
    with pytest.raises(UserError, match="a batch fits a positive number and a unit"):
        kept("batch == 'fit:1'")


def test_a_file_of_cases_has_batches_to_fit(tmp_path: Path) -> None:
    path = tmp_path / "cases.toml"
    path.write_text(
        "[[case]]\nmodule = 'se'\nbatch = [2, 'fit:1MiB']\n[[case]]\nbatch = 'fit:1MiB'\nmodule = 'se'"
    )
    assert read_cases(path) == cases("se", batch=[2, "fit:1MiB"])


def test_threads_that_nobody_asked_for_are_in_no_order() -> None:
    (case,) = cases("emau")
    assert not axes.condition("threads < 4")(case)
    assert axes.condition("threads != 4")(case)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dtype == 'bfloat17'", "unknown dtype 'bfloat17'; one of float32"),
        ("runtime in ('eager', 'onnx')", "unknown runtime 'onnx'"),
        ("form == 8", "unknown form 8"),
        ("kind == 'x'", "no axis 'kind'; there are module, batch"),
        ("batch == '8'", "batch is a number, such as 8, not '8'"),
        ("threads > True", "threads is a number"),
        ("size == '64x48'", "size is such as 64 or (64, 48), not '64x48'"),
        ("1 == 1", "names no axis"),
        ("batch", "batch is no condition"),
        ("batch + 1 == 2", "batch + 1 is no value"),
        ("__import__('os').system('true') == batch", "is no value"),
        ("[b for b in (1,)] == batch", "is no value"),
        ("(lambda: 1)() == 1", "is no value"),
        ("batch is 1", "batch is 1 is no condition"),
        ("batch ==", "cannot read --where 'batch =='"),
        ("batch = 1", "cannot read --where"),
        ("not " * 5000 + "batch == 1", "cannot read --where"),
        ("module.upper == 'X'", "module.upper is no value"),
    ],
)
def test_a_bad_condition_is_one_line(text: str, said: str) -> None:
    with pytest.raises(UserError) as refused:
        axes.condition(text)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_values_of_other_kinds_are_in_no_order() -> None:
    with pytest.raises(UserError, match="module < 3 compares 'emau' with 3"):
        cases("emau", where="module < 3")
    with pytest.raises(UserError, match=r"bases > '' compares 8 with ''$"):
        cases("emau", options={"bases": 8}, where="bases > ''")
    with pytest.raises(UserError, match="leaves out all 2 cases"):
        cases("emau", batch=[1, 2], where="batch > 2")


FILE = """
[[case]]
module = ["emau", "se"]
size = [8, "8x6"]
dtype = "bf16"
threads = 1

[[case]]
module = "nonlocal"
channels = 16
memory_format = "channels_last"
form = ["fast", "published"]
runtime = ["eager", "compile"]
where = 'not (form == "published" and runtime == "compile")'

[[case]]
module = "emau"
options = [{bases = 1}, {bases = 2}]
"""


def test_a_file_has_cases_that_are_no_grid(tmp_path: Path) -> None:
    path = tmp_path / "cases.toml"
    path.write_text(FILE)
    assert read_cases(path) == [
        *cases(["emau", "se"], sizes=[8, (8, 6)], dtype="bfloat16", threads=1),
        *cases(
            "nonlocal",
            channels=16,
            layout="channels_last",
            implementations=["fast"],
            runtime=["eager", "compile"],
        ),
        *cases("nonlocal", channels=16, layout="channels_last", implementations=["published"]),
        *cases("emau", options=[{"bases": 1}, {"bases": 2}]),
    ]
    path.write_text("[[case]]\nmodule = 'se'\n" * 2)
    assert len(read_cases(path)) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no table [[case]]"),
        ("[[case]]\nmodul = 'se'", "unknown field `modul`"),
        ("[case]\nmodule = 'se'", "Expected `array`, got `object`"),
        ("[[case]]\nchannels = 'one'", "got `str` - at `$.case[0].channels`"),
        ("[[case]]\nbatch = 'one'", "case 1: batch must be a positive integer, not 'one'"),
        ("[[case]]\nbatch = [1, 'fit:64']", "case 1: a batch fits a positive number and a unit"),
        ("[[case]]\nbatch = true", "Expected `int | str | array`, got `bool` - at `$.case[0].batch`"),
        ("[[case]]\nruntime = 'onnx'", "Invalid enum value 'onnx' - at `$.case[0].runtime`"),
        ("[[case]]\nmodule = 'se'\n[[case]]\nmodule = 'see'", "case 2: no module"),
        ("[[case]]\nmodule = 'se'\nsize = '8by6'", "case 1: size takes 64 or 64x48 (H x W), not '8by6'"),
        ("[[case]]\nmodule = 'se'\nthreads = 0", "case 1: threads must be a positive integer, not 0"),
        ("[[case]\n", "is no TOML"),
    ],
)
def test_a_bad_file_is_one_line_with_its_name(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "cases.toml"
    path.write_text(text)
    with pytest.raises(UserError) as refused:
        read_cases(path)
    assert str(refused.value).startswith(str(path))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
