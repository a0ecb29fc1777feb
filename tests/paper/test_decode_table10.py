"""What Table 10 prints is decoded: seven rows fit the leaf rule, and RCCA's fits nothing."""

from collections.abc import Callable
from itertools import islice

import pytest

from ctxbench.audit import runs
from ctxbench.audit.decoding import Decoding
from ctxbench.audit.search import decode
from ctxbench.paper.offers.presets import TABLE10
from ctxbench.paper.printed.table10 import table10


@pytest.fixture(scope="module")
def decoded() -> Callable[[str], Decoding]:
    decodings: dict[str, Decoding] = {}

    def of(module: str) -> Decoding:
        printed, row = table10()[module], TABLE10.row(module)
        # LatentGNN's digits fit another configuration than its row's
        options = {**row.options(512), **row.rule_options}
        if module not in decodings:
            decodings[module] = decode(module, f"{printed.gflops}G", f"{printed.mib}MB", options=options)
        return decodings[module]

    return of


@pytest.mark.parametrize("module", sorted(table10()))
def test_table_10_is_decoded(
    module: str, decoded: Callable[[str], Decoding], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "BATCHES", ())
    if module != "rcca":  # what no run reproduces is looked for in all of them
        monkeypatch.setattr("ctxbench.audit.search.runs", lambda *asked: islice(runs.runs(*asked), 1))
    decoding, row = decoded(module), table10()[module]
    both = decoding.outcomes["both"].fits
    assert decoding.is_reproduced is (module != "rcca")
    assert any(fit.is_leaf_rule for fit in both) is (module != "rcca")
    for fit in both:
        assert fit.printing is not None
        for candidate, text in zip(fit.candidates, (row.gflops, row.mib), strict=True):
            assert fit.printing.gives(candidate.value, text)
    deviations = [fit.deviations for fit in both]
    assert deviations == sorted(deviations)


def test_rcca_comes_out_as_known(decoded: Callable[[str], Decoding], monkeypatch: pytest.MonkeyPatch) -> None:
    """Not reproduced; the projections alone, every call, at 2 per MAC, give 5.369, but 20 MiB."""
    monkeypatch.setattr(runs, "BATCHES", ())
    decoding = decoded("rcca")
    plainest = decoding.outcomes["FLOPs"].fits[0].candidates[0]
    assert round(plainest.value, 3) == 5.369
    assert plainest.words == "2 per MAC of convolutions, matrix products not counted (G = 10⁹)"
    assert not decoding.outcomes["both"].fits
    assert not decoding.outcomes["memory"].fits
    assert "not reproduced; the nearest" in str(decoding)
