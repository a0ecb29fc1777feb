from ctxbench.paper.printed.table10 import fits, printed, table10


def test_the_table_has_the_papers_eight_rows() -> None:
    assert sorted(table10()) == sorted(
        ["nonlocal", "apcnet", "rcca", "a2net", "afnb", "latentgnn", "emau", "reconet"]
    )


def test_printed_numbers_keep_their_decimals() -> None:
    row = printed("nonlocal")
    assert row is not None
    assert (row.gflops, row.mib) == ("19.33", "88.00")


def test_a_module_outside_the_table_has_no_row() -> None:
    assert printed("apnb") is None


def test_fits_rounds_as_the_paper_printed() -> None:
    assert fits(24.125, "24.12")
    assert not fits(24.13, "24.12")
    assert fits(0.021495808, "0.0215")
    assert not fits(0.02, "0.0215")
    assert not fits(None, "0.00")
