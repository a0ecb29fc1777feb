"""Waiting for a process, with its processor time and the clock on the wall as a script tells them."""

import psutil
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ctxbench.measure import patience as module
from ctxbench.measure.patience import ALIVE_SHARE, Patience, Usage, usage


class Machine:
    """A clock, and a process that gets ``share`` of a core in ``threads`` threads at once."""

    def __init__(self, share: float, threads: int = 1, cores: int = 4, ready: bool = False) -> None:
        self.now, self.share, self.threads, self.cores, self.ready = 0.0, share, threads, cores, ready

    def usage(self, process: object) -> Usage:
        each = self.now * self.share
        return Usage(self.threads * each, {(1, n): each for n in range(self.threads)}, self.ready)

    def wait(self, patience: Patience) -> float:
        """Look whenever there is something new to see; return when it was over, by the clock."""
        while not patience.is_over():
            self.now += max(patience.next_look_s, 1e-3)
            assert self.now < 1e5
        return self.now


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> type[Machine]:
    made: list[Machine] = []

    class Installed(Machine):
        def __init__(self, *values: object, **named: object) -> None:
            super().__init__(*values, **named)  # type: ignore[arg-type]
            made.append(self)

    monkeypatch.setattr(module.time, "monotonic", lambda: made[-1].now)
    monkeypatch.setattr(module, "usage", lambda process: made[-1].usage(process))
    monkeypatch.setattr(module.psutil, "cpu_count", lambda: made[-1].cores)
    return Installed


def test_a_busy_process_on_a_free_machine_has_its_limit(machine: type[Machine]) -> None:
    for threads in (1, 4):
        busy = machine(share=1.0, threads=threads)
        assert busy.wait(Patience(1, 60.0)) == pytest.approx(60.0, abs=7.0)


@pytest.mark.parametrize("share", [0.5, 0.1, 0.03])
def test_one_that_others_starve_waits_as_much_longer(machine: type[Machine], share: float) -> None:
    starved = machine(share=share)
    assert starved.wait(Patience(1, 60.0)) == pytest.approx(60.0 / share, rel=0.12)


def test_one_that_sleeps_is_ended_at_its_limit(machine: type[Machine]) -> None:
    asleep = machine(share=0.0001)
    assert asleep.wait(Patience(1, 60.0)) == pytest.approx(60.0, abs=7.0)


def test_one_that_is_ready_and_gets_nothing_is_waited_for(machine: type[Machine]) -> None:
    starved = machine(share=0.0, ready=True)
    patience = Patience(1, 10.0)
    for starved.now in range(1, 1000):
        assert not patience.is_over()


def test_one_that_stops_is_ended_soon_after_its_limit(machine: type[Machine]) -> None:
    stops = machine(share=0.2)
    patience = Patience(1, 60.0)
    while stops.now < 100.0:
        stops.now += 1.0
        assert not patience.is_over()
    used = stops.now * stops.share
    stops.usage = lambda process: Usage(used, {(1, 0): used}, False)  # type: ignore[method-assign]
    assert stops.wait(patience) == pytest.approx(100.0, abs=13.0)


def test_a_sign_of_progress_begins_anew(machine: type[Machine]) -> None:
    busy = machine(share=1.0)
    patience = Patience(1, 60.0)
    busy.now = 50.0
    patience.renew()
    assert busy.wait(patience) == pytest.approx(110.0, abs=7.0)


@given(st.floats(0.0, 2.0), st.integers(1, 8), st.floats(1.0, 200.0))
@example(0.0078125, 2, 1.0)  # together above the share, each below it
def test_waiting_always_ends(share: float, threads: int, limit_s: float) -> None:
    with pytest.MonkeyPatch.context() as patch:
        some = Machine(share, threads)
        patch.setattr(module.time, "monotonic", lambda: some.now)
        patch.setattr(module, "usage", some.usage)
        patch.setattr(module.psutil, "cpu_count", lambda: some.cores)
        assert some.wait(Patience(1, limit_s)) <= 1.2 * limit_s / ALIVE_SHARE + 2


def test_a_process_that_is_gone_uses_nothing() -> None:
    class Gone:
        pid = 1

        def children(self, recursive: bool) -> list[object]:
            raise psutil.NoSuchProcess(1)

    assert usage(Gone()) == Usage(0.0, {}, False)  # type: ignore[arg-type]


def test_this_process_uses_time_and_runs() -> None:
    me = psutil.Process()
    before = usage(me)
    while usage(me).total_s < before.total_s + 0.05:
        pass
    after = usage(me)
    assert after.is_ready
    assert max(after.threads_s.values()) <= after.total_s + 0.02
