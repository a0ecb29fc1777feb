"""The verb list as a user types it."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from ctxbench.subject import registry

Run = Callable[..., int]
CATALOGUE = Path(__file__).parents[2] / "modules" / "ctxbench_modules" / "catalogue"


def test_list_has_a_line_for_each_registered_module(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == registry.names()
    (reconet,) = (line for line in lines if line.startswith("reconet "))
    assert "TGM+TRM" in reconet


def test_list_is_by_family_and_year(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    def listed(*options: str) -> list[str]:
        assert run("list", *options) == 0
        return [line.split()[0] for line in capsys.readouterr().out.splitlines()]

    by_family = [listed("--family", family) for family in registry.FAMILIES]
    assert all(by_family)
    assert [name for names in by_family for name in names] == list(registry.SPECS)
    assert {"se", "cam"} <= set(listed("--family", "channel"))
    assert "se" not in listed("--family", "channel", "--since", "2019")
    recent = set(listed("--since", "2019"))
    assert recent & set(registry.SPECS) == {name for name, s in registry.SPECS.items() if s.year >= 2019}
    assert run("list", "--since", "3000") == 0
    none = capsys.readouterr()
    assert (none.out, "no module is of that family and time" in none.err) == ("", True)
    assert run("list", "--family", "chanel") == 2
    assert "no family 'chanel'; there are: factorised, global" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["criss-cross"], ["rcca"]),
        (["CrissCross"], ["rcca"]),
        (["danet"], ["pam", "cam"]),
        (["object", "context"], ["ocnet"]),
        (["swin"], ["window"]),
        (["iccv", "pyramid"], ["sra"]),
        (["danet", "--family", "channel"], ["cam"]),
    ],
    ids=" ".join,
)
def test_list_looks_for_words_in_names_aliases_and_papers(
    words: list[str], expected: list[str], run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("list", *words) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == expected


def test_an_unknown_name_is_answered_with_a_name_of_each_family() -> None:
    shown = registry.examples().partition(";")[0].split(", ")
    families = [spec.family for name in shown if (spec := registry.spec(name)) and spec.family]
    assert families == list(registry.FAMILIES)


def test_a_file_of_the_catalogue_is_short_and_of_one_family() -> None:
    """And every family has the file of its name; a second one where that would be long."""
    files = {path.stem: path for path in CATALOGUE.glob("*.py")}
    assert all(len(path.read_text(encoding="utf-8").splitlines()) <= 150 for path in files.values())
    families, listed = {}, []
    for stem in files.keys() - {"__init__", "spec"}:
        (specs,) = (
            value
            for value in vars(import_module(f"ctxbench_modules.catalogue.{stem}")).values()
            if isinstance(value, tuple)
        )
        (families[stem],) = {spec.family for spec in specs}
        listed += [spec.name for spec in specs]
    assert sorted(listed) == sorted(registry.SPECS)
    assert {family: families[{"global": "global_"}.get(family, family)] for family in registry.FAMILIES} == {
        family: family for family in registry.FAMILIES
    }
