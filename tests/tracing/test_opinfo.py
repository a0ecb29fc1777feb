"""Over torch's own list of operations: what is listed as "not counted" computes, everything else is known."""

import warnings
from collections.abc import Iterator
from itertools import islice

import pytest
import torch
from torch import nn

from ctxbench.tracing.recorder import Recorder

COMPUTES = frozenset(
    """
    _ctc_loss _histogramdd_bin_edges _histogramdd_from_bin_cts
    _histogramdd_from_bin_tensors histogram _linalg_det _linalg_eigh _linalg_slogdet _linalg_solve_ex
    _linalg_svd _sparse_mm_reduce_impl cholesky cholesky_inverse cholesky_solve geqrf linalg_cholesky_ex
    linalg_eig linalg_householder_product linalg_inv_ex linalg_ldl_factor_ex linalg_ldl_solve linalg_lstsq
    linalg_lu linalg_lu_factor_ex linalg_lu_solve linalg_matrix_exp linalg_pinv linalg_qr
    linalg_solve_triangular multi_margin_loss multilabel_margin_loss_forward ormqr segment_reduce
    sparse_sampled_addmm triangular_solve _linear_cross_entropy_batch_chunked
    _linear_cross_entropy_batch_chunked_no_reduction
    """.split()  # noqa: SIM905
)
"""Factorisations and solvers, histograms, and losses of another kind."""


def operations() -> Iterator[object]:
    pytest.importorskip(
        "expecttest", reason="torch.testing's list of operations needs it: pip install expecttest"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_methods_invocations import op_db
    yield from op_db


def unknown(operation: object) -> set[str]:
    """Names that a few sample calls of an operation leave without a cost."""
    names: set[str] = set()
    dtype = torch.float32 if torch.float32 in operation.dtypes else next(iter(operation.dtypes), None)
    if dtype is None or operation.name.startswith(("jiterator", "torch.ops.aten._")):  # for CUDA alone
        return names
    for sample in islice(operation.sample_inputs("cpu", dtype), 2):
        recorder = Recorder(nn.Module(), [])
        with torch.no_grad(), recorder.recording(False):
            operation(sample.input, *sample.args, **sample.kwargs)
        names |= {op.name for op in recorder.ops if op.kind == "unknown"}
    return names


@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
def test_the_list_of_what_is_not_counted_holds_what_computes() -> None:
    lists = {operation.name: unknown(operation) for operation in operations()}
    names = {name.split(".")[1] for listed in lists.values() for name in listed}
    assert names <= COMPUTES, sorted(names - COMPUTES)
    assert len(lists) > 500
    assert sum(map(bool, lists.values())) < 90
