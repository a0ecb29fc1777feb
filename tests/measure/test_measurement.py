import pytest

from ctxbench.errors import UserError
from ctxbench.measure import measurement as subject
from ctxbench.subject.case import Case

EMAU = Case("emau", 16, 6, 5)


def survey(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> dict[str, object]:
    """Survey a module whose constructor raises ``error``."""

    def build(case: Case) -> None:
        raise error

    monkeypatch.setattr(subject, "build_case", build)
    monkeypatch.setattr(subject, "ceilings", lambda device, dtype: {"copy_gib_s": 1.0})
    return subject.Subject(EMAU).survey((EMAU,), ())


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
        survey(monkeypatch, error)
    assert str(caught.value) == said


@pytest.mark.parametrize("error", [NotImplementedError(), RuntimeError("no values on meta")])
def test_what_cannot_be_built_on_meta_may_yet_be_built(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    assert survey(monkeypatch, error)["ceilings"] == {"cpu": {"float32": {"copy_gib_s": 1.0}}}
