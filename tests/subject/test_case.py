from dataclasses import replace
from typing import get_args

import pytest

from ctxbench.errors import UserError
from ctxbench.subject.case import Case, Runtime, validate

GOOD = Case("nonlocal", 8, 6, 5)


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:3"])
def test_good_cases_pass(device: str) -> None:
    validate(replace(GOOD, device=device, dtype="bfloat16", mode="train", layout="channels_last"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"module": "nonlocl"}, "did you mean nonlocal"),
        ({"channels": 0}, "channels must be a positive integer, not 0"),
        ({"height": -4}, "height must be a positive integer, not -4"),
        ({"width": 2.5}, "width must be a positive integer, not 2.5"),
        ({"batch": True}, "batch must be a positive integer, not True"),
        ({"dtype": "int8"}, "unknown dtype 'int8'; one of float32"),
        ({"mode": "fast"}, "unknown mode 'fast'; one of infer, train"),
        ({"layout": "NHWC"}, "unknown layout 'NHWC'"),
        ({"implementation": "slow"}, "unknown implementation 'slow'"),
        ({"device": "tpu"}, "unknown device 'tpu'; cpu, cuda or cuda:N"),
        ({"device": "cuda:x"}, "unknown device"),
        ({"height": 2**20, "width": 2**20}, "limit 1024"),
    ],
)
def test_bad_cases_are_named(change: dict[str, object], says: str) -> None:
    with pytest.raises(UserError, match=says):
        validate(replace(GOOD, **change))  # type: ignore[arg-type]


def test_the_limit_of_an_input_is_a_tebibyte() -> None:
    just = replace(GOOD, channels=1, height=2**19, width=2**19)
    assert just.input_bytes == 2**40
    with pytest.raises(UserError, match="takes 1024 GiB"):
        validate(just)
    validate(replace(just, dtype="float16"))


def test_no_two_runtimes_have_one_id() -> None:
    runtimes = (*get_args(Runtime), "one that is yet to come")
    assert len({Case("emau", 4, 5, 6, runtime=name).id for name in runtimes}) == len(runtimes)
