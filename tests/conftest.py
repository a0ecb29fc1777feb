"""Two workers run the tests (pyproject.toml), each file in one of them: of two cores, each has one."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

from ctxbench import shelf

# before torch reads it, here and in the processes that tests start: on tensors of this size further threads
# cost more than they take over, wait for each other where other tests run too, and sum in another order
os.environ["OMP_NUM_THREADS"] = "1"

# what a shell starts with & in a script ignores Ctrl-C, and so would all that tests start and interrupt
signal.signal(signal.SIGINT, signal.default_int_handler)

DATA_SETTING = "CTXBENCH_DATA"
"""The environment variable that names a folder of real data; a reason that holds it is the want of them."""

# No test asserts a time, so none has a deadline. A run tries the same inputs each time, so that a red test is
# the fault of the change at hand; `pytest --hypothesis-profile search` tries inputs no run has tried before.
settings.register_profile("search", deadline=None)
settings.register_profile("ctxbench", deadline=None, derandomize=True)
settings.load_profile("ctxbench")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A line for each reason to skip, and one for how to run the tests that need real data."""
    reasons = Counter(_reason(report) for report in terminalreporter.stats.get("skipped", []))
    for reason, count in sorted(reasons.items()):
        if DATA_SETTING not in reason:
            terminalreporter.write_line(f"{count} skipped: {reason}")
    if without_data := sum(count for reason, count in reasons.items() if DATA_SETTING in reason):
        terminalreporter.write_line(
            f"{without_data} skipped for want of real data, which CONTRIBUTING.md lists; "
            f"with a folder of it: {DATA_SETTING}=FOLDER pytest"
        )


def _reason(report: pytest.TestReport) -> str:
    """Why a test was skipped, in one line."""
    place_and_reason = report.longrepr  # (file, line, "Skipped: reason"); a list where a worker sent it
    reason = place_and_reason[-1] if isinstance(place_and_reason, tuple | list) else str(place_and_reason)
    return str(reason).removeprefix("Skipped: ").partition("\n")[0]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Refuse parameters from a set: each worker would collect them in its own order, and the run stops."""
    for mark in metafunc.definition.iter_markers("parametrize"):
        values = mark.kwargs.get("argvalues", mark.args[1] if len(mark.args) > 1 else ())
        if isinstance(values, set | frozenset):
            raise pytest.UsageError(f"{metafunc.definition.nodeid}: its parameters are a set; give sorted(…)")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Call a file's content by its length: what it holds may be the time, another one in each worker."""
    return f"{argname} of {len(val)} bytes" if isinstance(val, bytes) else None


@pytest.fixture
def install_paper(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str, str], None]]:
    """Install a paper by its name and the place of its offers: metadata lie where Python looks for them."""

    def install(name: str, offers: str) -> None:
        site = tmp_path_factory.mktemp("site")
        metadata = site / f"{name}-1.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (metadata / "entry_points.txt").write_text(f"[ctxbench.papers]\n{name} = {offers}\n")
        monkeypatch.syspath_prepend(site)
        shelf.installed.cache_clear()

    yield install
    shelf.installed.cache_clear()
