"""How inputs are written, what they become, and which output is looked at."""

from collections import OrderedDict

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from ctxbench.errors import UserError
from ctxbench.subject.interface import Given, Interface, asked_for

SHAPE = (2, 6, 4, 10)


class Takes(nn.Module):
    def forward(
        self, q: Tensor, k: Tensor | None = None, v: Tensor | None = None, size: object = None
    ) -> Tensor:
        return q


def given_for(inputs: str, module: nn.Module | None = None) -> Given:
    return Interface(inputs).given(module or Takes(), SHAPE, lambda shape, _: torch.zeros(shape))


@pytest.mark.parametrize(
    ("inputs", "shape"),
    [
        ("x: N C H W", (2, 6, 4, 10)),
        ("N H W C", (2, 4, 10, 6)),
        ("x: N (H W) C", (2, 40, 6)),
        ("x: N C (H W)", (2, 6, 40)),
        ("x: N (1 + H W) C", (2, 41, 6)),
        ("x: N 2 (C/3) H/2 W", (2, 2, 2, 2, 10)),
        ("x: (N H) W C", (8, 10, 6)),
    ],
)
def test_axes_are_written_as_in_einops(inputs: str, shape: tuple[int, ...]) -> None:
    (x,) = given_for(inputs).args
    assert tuple(x.shape) == shape


def test_the_same_tensor_values_lists_and_keywords() -> None:
    q, k, v = given_for("q: N (H W) C; k: q; v: q").args
    assert q is k is v
    assert given_for("x: N (H W) C; H; W").args[1:] == (4, 10)
    assert given_for("x: N C H W; (H, W)").args[1] == (4, 10)
    assert given_for("x: N C H W; size=(H, W)").kwargs == {"size": (4, 10)}
    (maps,) = given_for("feats: [N C H W, N C H/2 W/2]").args
    assert [tuple(m.shape) for m in maps] == [(2, 6, 4, 10), (2, 6, 2, 5)]
    # a parameter that is left out: what comes after it can only be given by name
    left_out = given_for("q: N C H W; v: N C H W")
    assert (len(left_out.args), list(left_out.kwargs)) == (1, ["v"])


def test_replaced_tensors_stay_the_same_where_they_were() -> None:
    old = given_for("q: N (H W) C; k: q; v: N (H W) C")
    new = old.replaced(torch.clone)
    assert new.args[0] is new.args[1] is not new.args[2]
    assert len(new.tensors) == len(old.tensors) == 2
    assert not {id(t) for t in new.tensors} & {id(t) for t in old.tensors}


@pytest.mark.parametrize(
    "inputs",
    [
        "", "x", "x:", "H; W", "x: N C (H", "x: N C H) W", "x: N Q", "x: N C H W; x: N C H W", "x: N (C-C)",
        "x: N C H W; y=os.system", "1x: N C", "x: N C H W; y=open('f')", "x: N C H W;;",
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_in_one_line(inputs: str) -> None:
    with pytest.raises(UserError, match=r"--inputs|side") as error:
        asked_for(inputs, None)
    assert "\n" not in str(error.value)


@given(st.text("NCHW xyz:;()[],=+-/*0123", max_size=30))
def test_any_text_is_read_or_refused(inputs: str) -> None:
    try:
        asked = asked_for(inputs, None)
        assert asked is not None
        asked.given(Takes(), (840, 840, 840, 840), lambda shape, _: torch.empty(shape, device="meta"))
    except UserError:
        return


def test_the_output_is_the_first_tensor_or_the_one_asked_for() -> None:
    a, b = torch.zeros(1), torch.ones(1)
    assert Interface().pick(a) is a
    assert Interface().pick((None, a, b)) is a
    assert Interface(output="1").pick([a, b]) is b
    assert Interface(output="out").pick(OrderedDict(aux=a, out=b)) is b
    assert Interface(output="0.out").pick(({"out": b},)) is b
    for output, returned in (("2", (a, b)), ("out", {"aux": a}), ("0", ("text",)), ("", None), ("x", a)):
        with pytest.raises(UserError, match=r"no output|no tensor"):
            Interface(output=output).pick(returned)
