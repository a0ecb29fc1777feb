"""The verb env as a user types it."""

import platform
from collections.abc import Callable

import pytest
import torch

Run = Callable[..., int]
Refused = Callable[..., str]


def test_env_prints_what_a_record_says_of_this_machine(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("env") == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if line.split()[1:])
    assert lines["python"] == platform.python_version()
    assert lines["torch"] == torch.__version__


def test_a_device_that_is_not_there_is_one_line(refused: Refused) -> None:
    assert "'tpu'" in refused("env", "--device", "tpu")
