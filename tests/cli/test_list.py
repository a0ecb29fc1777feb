"""The verb list as a user types it."""

from collections.abc import Callable

import pytest

from ctxbench.subject import registry

Run = Callable[..., int]


def test_list_has_a_line_for_each_registered_module(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == registry.names()
    (reconet,) = (line for line in lines if line.startswith("reconet "))
    assert "TGM+TRM" in reconet
