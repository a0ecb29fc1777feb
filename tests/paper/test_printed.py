from ctxbench.paper.printed.table10 import printed, table10


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
