"""Formulas against loops over what each output is made of, and formulas that users register."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from math import floor
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry, register_flop_formula

from ctxbench.tracing import Trace, register_formula, trace, views
from ctxbench.tracing.formulas import registry


class Applied(nn.Module):
    """A function as a module; what it returns is made a map by :func:`recorded`."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        y = self.function(x)
        return y if y.ndim == 4 else y.expand(x.shape[0], 1, 1, -1) if y.ndim == 1 else y[:, None]


def recorded(
    function: Callable[[Tensor], Tensor], shape: tuple[int, ...] = (2, 3, 8, 6), mode: str = "infer"
) -> Trace:
    return trace(Applied(function), shape, mode=mode)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("mode", "each"), [("bilinear", 2 * 4 - 1), ("bicubic", 2 * 16 - 1)], ids=["bilinear", "bicubic"]
)
def test_interpolation_is_a_weighted_sum_forward_and_backward(mode: str, each: int) -> None:
    run = recorded(lambda x: F.interpolate(x, size=(11, 7), mode=mode), mode="train")
    out = 2 * 3 * 11 * 7
    assert (views.flops(run), views.flops(run, "backward")) == (each * out, each * out)


def taps_by_hand(size: int, out: int, reach: float) -> list[int]:
    """Inputs within the stretched filter of each output, found one by one."""
    scale = size / out
    support = reach * max(scale, 1.0)
    return [
        sum(
            1
            for i in range(size)
            if max(floor(scale * (o + 0.5) - support + 0.5), 0)
            <= i
            < floor(scale * (o + 0.5) + support + 0.5)
        )
        for o in range(out)
    ]


@settings(max_examples=25)
@given(
    st.sampled_from((("bilinear", 1.0), ("bicubic", 2.0))),
    st.tuples(st.integers(1, 20), st.integers(1, 20), st.integers(1, 20), st.integers(1, 20)),
)
def test_antialiased_interpolation_sums_what_its_filter_reaches(
    kind: tuple[str, float], sides: tuple[int, int, int, int]
) -> None:
    (mode, reach), (h, w, oh, ow) = kind, sides
    run = recorded(
        lambda x: F.interpolate(x, size=(oh, ow), mode=mode, antialias=True), (2, 3, h, w), mode="train"
    )
    rows, columns = taps_by_hand(h, oh, reach), taps_by_hand(w, ow, reach)
    across = h * sum(2 * k - 1 for k in columns)
    down = ow * sum(2 * k - 1 for k in rows)
    assert views.flops(run) == 6 * (across + down)
    assert views.flops(run, "backward") == 6 * sum(2 * a * b - 1 for a in rows for b in columns)


def test_the_antialiased_filter_reaches_what_torch_says_it_does() -> None:
    """The gradient of one output is not zero where its filter reaches (its edge may have weight zero)."""
    x = torch.zeros(1, 1, 1, 23, requires_grad=True)
    y = F.interpolate(x, size=(1, 7), mode="bilinear", antialias=True)
    reached = [
        int((torch.autograd.grad(y[0, 0, 0, o], x, retain_graph=True)[0] != 0).sum()) for o in range(7)
    ]
    assert all(taps - 2 <= met <= taps for met, taps in zip(reached, taps_by_hand(23, 7, 1.0), strict=True))


@pytest.mark.parametrize("kernel", [2, (2,), (2, 3), (3, 1)])
@pytest.mark.parametrize("pool", [F.avg_pool2d, F.max_pool2d])
def test_a_window_given_as_one_side_is_square(pool: Callable[..., Tensor], kernel: Any) -> None:
    sides = kernel if isinstance(kernel, tuple) else (kernel,)
    window = sides[0] * sides[-1]
    run = recorded(lambda x: pool(x, kernel), mode="train")
    out = 2 * 3 * (8 // sides[0]) * (6 // sides[-1])
    assert views.flops(run) == out * window
    if pool is F.avg_pool2d:
        assert views.flops(run, "backward") == out * window


INDEX = torch.tensor([[[[0, 1, 1, 2]]]]).expand(2, 3, 2, 4)
SCATTERED = {
    "scatter_add of a larger source": (lambda x: x.scatter_add(3, INDEX, x), INDEX.numel()),
    "scatter": (lambda x: x.scatter(3, INDEX, x), 0),
    "scatter that adds": (lambda x: x.scatter(3, INDEX, x, reduce="add"), INDEX.numel()),
    "scatter of a value that multiplies": (
        lambda x: x.scatter(3, INDEX, 2.0, reduce="multiply"),
        INDEX.numel(),
    ),
    "scatter_reduce": (lambda x: x.scatter_reduce(3, INDEX, x, "amax"), INDEX.numel()),
    "index_put": (lambda x: x.index_put((torch.tensor([0, 1]),), x), 0),
    "index_put that accumulates": (
        lambda x: x.index_put((torch.tensor([[0], [1], [1]]), torch.tensor([0, 2])), x[:1, :1], True),
        3 * 2 * 8 * 6,
    ),
    "index_add": (lambda x: x.index_add(1, torch.tensor([0, 0, 1, 2]), x[:, [0, 1, 2, 0]]), 2 * 4 * 48),
    "put that accumulates": (lambda x: x.clone().put_(torch.arange(5), torch.ones(5), True), 5),
    "rsub": (lambda x: torch.rsub(x, x[:1]), 2 * 3 * 48),
    "rsub of a number": (lambda x: 1 - x, 2 * 3 * 48),
    "mse_loss": (lambda x: F.mse_loss(x, x.flip(0)).reshape(1, 1, 1, 1).expand(2, 1, 1, 1), 2 * 2 * 3 * 48),
}


@pytest.mark.parametrize("name", list(SCATTERED))
def test_what_scatters_counts_what_it_adds(name: str) -> None:
    function, operations = SCATTERED[name]
    run = recorded(function)
    assert (views.flops(run), run.unknown_ops) == (operations, {})


@settings(max_examples=20)
@given(st.integers(1, 2), st.integers(2, 7), st.integers(2, 7), st.integers(2, 6))
def test_bilinear_layers_contract_one_operand_after_the_other(
    n: int, first: int, second: int, out: int
) -> None:
    class Bilinear(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Bilinear(first, second, out, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            tokens = x.flatten(2).mT  # (N, L, C)
            return self.layer(tokens[..., :first], tokens[..., -second:])[:, None]  # (N, 1, L, O)

    run = trace(Bilinear(), (n, max(first, second), 3, 5))
    assert views.macs(run) == n * 15 * out * (first * second + second)
    assert not run.lower_bound


@pytest.mark.parametrize(("p", "rows"), [(2.0, 48), (2.0, 12), (1.0, 48)])
def test_distances_are_a_product_where_torch_makes_them_one(p: float, rows: int) -> None:
    def distances(x: Tensor) -> Tensor:
        tokens = x.flatten(2).mT[:, :rows]  # (N, L, C)
        return torch.cdist(tokens, tokens, p)

    run = recorded(distances)
    assert views.macs(run) == (2 * rows * rows * (3 + 2) if p == 2 and rows > 25 else 0)
    assert views.flops(run) > 2 * rows * rows * 3
    assert not run.lower_bound


@pytest.mark.filterwarnings("ignore:Sparse")
def test_a_sparse_matrix_multiplies_the_elements_it_stores() -> None:
    matrix = torch.zeros(3, 3)
    matrix[0, 1] = matrix[2, 2] = 1.0
    for stored in (matrix.to_sparse(), matrix.to_sparse_csr()):

        class Sparse(nn.Module):
            def __init__(self, stored: Tensor) -> None:
                super().__init__()
                self.register_buffer("matrix", stored)

            def forward(self, x: Tensor) -> Tensor:
                return (self.matrix @ x[0].flatten(1)).reshape(x.shape)

        run = trace(Sparse(stored), (1, 3, 4, 5))
        assert views.macs(run) == 2 * 20
        assert run.tensors == "real"


# --- formulas of others -------------------------------------------------------------------------------------


@torch.library.custom_op("ctxbench_tests::double", mutates_args=())
def double(x: Tensor) -> Tensor:
    return 2 * x


@double.register_fake
def _(x: Tensor) -> Tensor:
    return torch.empty_like(x)


@pytest.fixture
def _clean() -> Iterator[None]:
    yield
    registry._registered.clear()
    flop_registry.pop(torch.ops.ctxbench_tests.double, None)


def test_an_operation_of_the_users_is_a_lower_bound_with_its_name() -> None:
    run = recorded(double)
    assert run.lower_bound
    assert run.unknown_ops == {"ctxbench_tests.double.default": 1}


@pytest.mark.usefixtures("_clean")
@pytest.mark.parametrize(
    "op",
    [
        "ctxbench_tests::double",
        torch.ops.ctxbench_tests.double,
        torch.ops.ctxbench_tests.double.default,
        double,
    ],
    ids=["name", "packet", "overload", "custom_op"],
)
def test_a_registered_formula_is_honoured(op: object) -> None:
    register_formula(op, macs=lambda x, out: x.shape[1] * out.numel(), flops=lambda x, out: 7 * out.numel())
    run = recorded(double)
    assert (views.macs(run), views.flops(run), run.lower_bound) == (3 * 288, 7 * 288, False)
    register_formula(op, flops=5)
    assert (views.macs(recorded(double)), views.flops(recorded(double))) == (0, 5)
    register_formula(op, macs=5)
    assert (views.macs(recorded(double)), views.flops(recorded(double))) == (5, 10)


@pytest.mark.usefixtures("_clean")
def test_a_formula_of_torchs_own_registry_is_honoured() -> None:
    @register_flop_formula(torch.ops.ctxbench_tests.double)
    def flops(x_shape: torch.Size, out_shape: torch.Size | None = None, **_: Any) -> int:
        return 2 * x_shape.numel() + 1

    run = recorded(double)
    assert (views.macs(run), views.flops(run), run.lower_bound) == (288, 2 * 288 + 1, False)


@pytest.mark.usefixtures("_clean")
def test_a_users_formula_replaces_ours() -> None:
    register_formula("aten::mul.Tensor", flops=lambda a, b, out: 3 * out.numel())
    assert views.flops(recorded(lambda x: x * 2)) == 3 * 288


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: register_formula("mine::double"), ValueError, "macs=, flops= or both"),
        (lambda: register_formula("double", macs=1), TypeError, "write namespace::name"),
        (lambda: register_formula(3, macs=1), TypeError, "3 is no operation"),
    ],
)
def test_a_formula_that_says_nothing_is_refused(
    call: Callable[[], None], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        call()


@pytest.mark.usefixtures("_clean")
@pytest.mark.parametrize(("macs", "flops"), [(-1, None), (1.5, None), (4, 7)])
def test_a_formula_that_gives_no_count_is_named(macs: Any, flops: Any) -> None:
    register_formula(double, macs=macs, flops=flops)
    with pytest.raises(ValueError, match="the formula of ctxbench_tests::double gives"):
        recorded(double)


def test_a_package_offers_formulas_by_an_entry_point(tmp_path: Path) -> None:
    info = tmp_path / "offers-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: offers\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ctxbench.formulas]\nmine = offers_formulas:register\n")
    (tmp_path / "offers_formulas.py").write_text(
        "from ctxbench.tracing import register_formula\n"
        "def register():\n"
        "    register_formula('aten::relu', flops=lambda x, out: 11 * out.numel())\n"
    )
    code = (
        "import torch; from ctxbench.tracing import trace, views;"
        "print(views.flops(trace(torch.nn.ReLU(), (1, 2, 3, 5))))"
    )
    path = [str(tmp_path), *sys.path]
    ran = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}; {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == f"{11 * 30}\n"


def test_tensors_are_found_as_torch_finds_them_however_they_are_packed() -> None:
    a, b, c = (torch.zeros(side) for side in (1, 2, 3))
    packed = ([a, (b, None), {"x": c}], 1, torch.float32, torch.max(torch.zeros(2, 2), 1), [[a], "no"])
    tensors = [leaf for leaf in tree_leaves(packed) if isinstance(leaf, Tensor)]
    assert len(tensors) == 6
    assert all(x is y for x, y in zip(registry.tensors_in(packed), tensors, strict=True))
