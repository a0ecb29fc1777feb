"""Treatments counted by hand on a small block, and the leaf rule as one convention of many."""

from functools import partial
from pathlib import Path

import pytest
import torch
from audit.blocks import CONV, OUT, PRODUCTS, C, H, W

from ctxbench.audit.counting.aspects import FLOPS, MEMORY, Seen, Treatment
from ctxbench.audit.counting.conventions import Conventions, leaf_rule
from ctxbench.audit.counting.parts import of_part
from ctxbench.audit.runs import EVERY_CALL, LAST_CALL, OPERATIONS, Run
from ctxbench.counters import leaf_rule as counter
from ctxbench.subject.bind import build_case
from ctxbench.subject.presets import Row, presets

SMALL = f"{Path(__file__).with_name('blocks.py')}:Small"


def small(view: str) -> Seen:
    return Run(SMALL, (1, C, H, W), "single").seen_by_view(training=True)[view]


@pytest.mark.parametrize(
    ("view", "products"), [(OPERATIONS, sum(PRODUCTS)), (EVERY_CALL, sum(PRODUCTS)), (LAST_CALL, PRODUCTS[1])]
)
def test_products_are_counted_call_by_call(view: str, products: int) -> None:
    seen = small(view)
    counted = [treatment.number(seen) for treatment in FLOPS["products"]]
    assert counted[:3] == [CONV + products, 2 * (CONV + products), CONV + 2 * products]
    assert counted[4:] == [CONV, 2 * CONV]


def test_a_module_that_had_to_run_again_is_counted_once() -> None:
    seen_by_view = Run(SMALL.replace("Small", "Branches"), (1, C, H, W), "single").seen_by_view(
        training=False
    )
    assert [call.macs for call in seen_by_view[EVERY_CALL].calls] == [C * C * H * W]


def test_a_run_is_built_as_its_case_is() -> None:
    """Whatever this process drew before: the weights are seeded, in the pass that is watched too."""
    run = Run(SMALL.replace("Small", "Drawn"), (1, C, H, W), "single")
    expected = build_case(run.case).times * C * C * H * W
    for seed in range(5):
        torch.manual_seed(seed)
        seen = run.seen_by_view(training=False)[EVERY_CALL]
        assert sum(call.macs for call in seen.calls) == expected
    assert (run.case.shape, run.case.implementation) == (run.shape, "single")


def test_aspects_beside_the_products_by_hand() -> None:
    leaves, operations = small(EVERY_CALL), small(OPERATIONS)
    for seen in (leaves, operations):
        assert FLOPS["bias"][1].number(seen) == OUT
        norms = [treatment.number(seen) for treatment in FLOPS["norm"]]
        assert norms == [0, OUT, 2 * OUT, 4 * OUT, 2 * OUT, 2 * OUT, 2 * 2 * C], "its one norm is of batches"
        assert FLOPS["activation"][1].number(seen) == OUT
    assert FLOPS["sigmoid"][1].number(leaves) == 0, "a functional sigmoid is no leaf"
    assert FLOPS["sigmoid"][1].number(operations) == OUT


def test_memory_by_hand() -> None:
    held = {treatment.words: treatment for treatment in MEMORY["held"]}
    products = (2 * C * W * W, OUT)
    every, last = small(EVERY_CALL), small(LAST_CALL)
    assert held["outputs of the leaf modules"].number(every) == 4 * (3 * OUT + sum(products))
    assert held["outputs of the leaf modules"].number(last) == 4 * (3 * OUT + products[1])
    assert held["outputs of the leaf modules with weights"].number(every) == 4 * 2 * OUT
    assert held["everything the operations allocate"].number(every) is None
    assert MEMORY["input"][1].number(every) == 4 * C * H * W
    assert MEMORY["weights"][1].number(every) == 4 * (2 * C * C + 2 * C + 4 * C)


def test_memory_and_parameters_of_a_part_by_hand() -> None:
    """What ``up`` makes is saved for ``down``; in CUDA each storage is of whole blocks."""
    seen = Run(SMALL.replace("Small", "Halves"), (1, C, H, W), "single").seen_by_view(training=True)
    up, down, rest = (of_part(seen[OPERATIONS], part) for part in ("up", "down", "-up"))
    wide, narrow = 4 * OUT, 2 * OUT
    assert (up.held.allocated, down.held.allocated) == (wide, narrow)
    assert (up.held.saved, down.held.saved) == (wide, 0)
    blocks = [-(-size // 512) * 512 for size in (wide, narrow)]
    assert (up.held.peak_infer_on_cuda, down.held.peak_infer_on_cuda) == tuple(blocks)
    assert seen[OPERATIONS].held.peak_infer_on_cuda == sum(blocks)
    assert (up.weight_bytes, down.weight_bytes) == (4 * 2 * C * C, 4 * (2 * C * C + C))
    assert (rest.weight_bytes, rest.held) == (down.weight_bytes, down.held)
    leaves = of_part(seen[EVERY_CALL], "up")
    assert (leaves.output_bytes, leaves.held.allocated, leaves.input_bytes) == (wide, None, None)


def test_a_new_aspect_is_one_line() -> None:
    nothing, *_ = FLOPS["bias"]
    aspects = {**FLOPS, "mine": (nothing, Treatment("a thousand", 1, lambda seen: 1000))}
    before = {convention.value for convention in Conventions(FLOPS, small(LAST_CALL))}
    after = {convention.value for convention in Conventions(aspects, small(LAST_CALL))}
    assert after == before | {value + 1000 for value in before}


@pytest.mark.parametrize(
    "row", [row for preset in presets().values() for row in preset.rows], ids=lambda row: row.module
)
def test_the_leaf_rule_is_a_point_of_the_space(row: Row) -> None:
    run = Run(row.module, (1, 64, 12, 9), "published", {**row.options(64), **row.rule_options})
    *_, seen = run.seen_by_view(training=False).values()
    counted = counter.count(partial(build_case, run.case), run.shape)
    assert leaf_rule(FLOPS, seen) == round(counted["gflops"] * 1e9)
    assert leaf_rule(MEMORY, seen) == round(counted["mib"] * 2**20)
    assert leaf_rule(FLOPS, seen) in {convention.value for convention in Conventions(FLOPS, seen)}


@pytest.mark.parametrize(
    "layer", ["ReLU", "ReLU6", "LeakyReLU", "PReLU", "GELU", "SiLU", "Hardswish", "Softmax2d", "Sigmoid"]
)
def test_a_known_layer_is_of_one_kind_as_a_leaf_and_as_an_operation(layer: str) -> None:
    seen = Run(f"torch.nn:{layer}", (1, C, H, W), "single").seen_by_view(training=False)
    kinds = {view: {call.kind for call in seen[view].calls} for view in (OPERATIONS, EVERY_CALL)}
    assert kinds[OPERATIONS] == kinds[EVERY_CALL] != {"other"}
