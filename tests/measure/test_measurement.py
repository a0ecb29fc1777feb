import pytest

from ctxbench.errors import UserError
from ctxbench.measure.runtimes.eager import Eager
from ctxbench.measure.worker import measurement
from ctxbench.subject.case import Case

EMAU = Case("emau", 16, 6, 5)


def admit(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> dict[str, str]:
    """Admit a module whose constructor raises ``error``."""

    def build(case: Case) -> None:
        raise error

    monkeypatch.setattr(measurement, "build_case", build)
    return measurement.Measurement(EMAU).admit((EMAU,))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (AssertionError("need div"), "emau: AssertionError: need div (input 1x16x6x5)"),
        (KeyError(16), "emau: KeyError: 16 (input 1x16x6x5)"),
        (SystemExit(3), "emau: SystemExit: 3 (input 1x16x6x5)"),
        (UserError("emau has no option 'a'"), "emau has no option 'a' (input 1x16x6x5)"),
    ],
)
def test_a_constructor_that_fails_is_named_with_its_input(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, said: str
) -> None:
    with pytest.raises(UserError) as caught:
        admit(monkeypatch, error)
    assert str(caught.value) == said


@pytest.mark.parametrize("error", [NotImplementedError(), RuntimeError("no values on meta")])
def test_what_cannot_be_built_on_meta_may_yet_be_built(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    assert admit(monkeypatch, error) == {}


@pytest.mark.parametrize(
    ("asked", "warnings"), [(2, ["asked for 2 threads, but OpenMP takes 5"]), (None, [])]
)
def test_a_library_that_takes_other_threads_than_asked_for_is_named(
    monkeypatch: pytest.MonkeyPatch, asked: int | None, warnings: list[str]
) -> None:
    took = {"torch": 2, "OpenMP": 5}
    monkeypatch.setattr(Eager, "threads", lambda self: took)
    fields = measurement.Measurement(Case("se", 16, 6, 5, implementation="single", threads=asked)).prepare()
    assert fields["warnings"] == warnings
    assert fields["threads"] == took
