"""Energy of a call: counters that a CPU's packages or a GPU have, as a folder or a library here has them."""

import sys
from dataclasses import replace
from itertools import count, repeat
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from ctxbench.measure import nvml, session
from ctxbench.measure.folder import Settings, read_run
from ctxbench.measure.progress import RunProgress
from ctxbench.measure.records import Record
from ctxbench.measure.worker import energy, latency
from ctxbench.measure.worker.call import MeasuredCall
from ctxbench.measure.worker.energy import EnergyError, Meter, Nvml, Rapl, Spent
from ctxbench.measure.worker.measurement import Measurement
from ctxbench.report.columns import ENERGY, columns, reason
from ctxbench.report.run import load_run
from ctxbench.subject.bound import Binding
from ctxbench.subject.case import Case
from ctxbench.subject.interface import Given

FULL = 999_999
CALL = MeasuredCall(lambda: torch.zeros(1), nn.Identity(), Given((), {}, (torch.zeros(1),)))


def zone(root: Path, number: str, name: str, uj: int) -> Path:
    """A zone of the powercap folder."""
    folder = root / f"intel-rapl:{number}"
    folder.mkdir(parents=True)
    for file, text in (("name", name), ("energy_uj", str(uj)), ("max_energy_range_uj", str(FULL))):
        (folder / file).write_text(f"{text}\n")
    return folder


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the counters are looked for."""
    monkeypatch.setattr(energy, "POWERCAP", tmp_path / "powercap")
    return tmp_path / "powercap"


def test_packages_are_added_and_nothing_is_counted_twice(root: Path) -> None:
    packages = [zone(root, "0", "package-0", 100), zone(root, "1", "package-1", 5000)]
    parts = [zone(root, "0:0", "core", 7), zone(root, "2", "psys", 9), zone(root, "1:0", "dram", 8)]
    (root / "intel-rapl").mkdir()
    rapl = Rapl()
    before = rapl.read()
    for folder in (*packages, *parts):
        (folder / "energy_uj").write_text(str(int((folder / "energy_uj").read_text()) + 2500))
    assert rapl.mj(before, rapl.read()) == 5.0


def test_a_counter_that_began_anew_goes_on(root: Path) -> None:
    folder = zone(root, "0", "package-0", FULL - 400)
    rapl = Rapl()
    before = rapl.read()
    (folder / "energy_uj").write_text("599")
    assert rapl.mj(before, rapl.read()) == 1.0


def test_without_a_counter_there_is_a_reason(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EnergyError, match="shows no energy counter of its CPU"):
        Rapl()
    zone(root, "0", "psys", 1)
    with pytest.raises(EnergyError, match="shows no energy counter of its CPU"):
        Rapl()
    folder = zone(root, "1", "package-0", 1)
    (folder / "energy_uj").write_text("many")
    with pytest.raises(EnergyError, match="cannot be read: invalid literal"):
        Rapl()

    def refuse(self: Rapl) -> dict[Path, int]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Rapl, "read", refuse)  # root, as tests may be, is refused nothing
    with pytest.raises(EnergyError, match="lets only root read"):
        Rapl()


class Clock(latency.CpuClock):
    """Each call takes a millisecond, and 3 mJ of a package."""

    def __init__(self, folder: Path) -> None:
        self.file, self.reads = folder / "energy_uj", 0

    def time_ms(self, call: MeasuredCall) -> float:
        self.file.write_text(str((int(self.file.read_text()) + 3000) % (FULL + 1)))
        return 1.0


def test_a_round_is_metered_with_every_call_that_it_makes(root: Path) -> None:
    clock = Clock(zone(root, "0", "package-0", FULL - 10_000))
    meter = Meter("cpu")
    times = latency.sample(clock, CALL, 60.0, 1.0, lambda: None, meter)
    assert len(times) == latency.ROUND_SAMPLES
    assert meter.last == Spent(3.0 * 101, 101)  # the first call is no sample, but took its share
    latency.sample(clock, CALL, 0.0, 5000.0, lambda: None, meter)
    assert meter.last == Spent(3.0, 1)
    clock.file.unlink()
    meter.start()
    meter.stop(3)
    assert meter.last is None


def test_counters_are_never_read_between_two_timed_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []
    meter = SimpleNamespace(
        start=lambda: happened.append("start"), stop=lambda calls: happened.append(f"stop {calls}")
    )

    class Told(latency.CpuClock):
        def __init__(self) -> None:
            self.times = repeat(1.0)

        def time_ms(self, call: MeasuredCall) -> float:
            happened.append("call")
            return next(self.times)

    latency.sample(Told(), CALL, 60.0, 1.0, lambda: None, meter)  # type: ignore[arg-type]
    assert happened == ["start", *["call"] * 101, "stop 101"]


class NvmlMissingError(Exception):
    pass


def test_a_gpu_counts_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = count(1000, 250)
    library = SimpleNamespace(
        NVMLError=NvmlMissingError,
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: next(readings),
    )
    monkeypatch.setitem(sys.modules, "pynvml", library)
    properties = SimpleNamespace(uuid="1-2")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    assert nvml.energy_mj("cuda") == 1000
    meter = Meter("cuda:0")
    meter.start()
    meter.stop(5)
    assert meter.last == Spent(250.0, 5)
    assert "NVML" in meter.source

    def unsupported(handle: object) -> int:
        raise NvmlMissingError("Not Supported")

    monkeypatch.setattr(library, "nvmlDeviceGetTotalEnergyConsumption", unsupported)
    with pytest.raises(EnergyError, match="NVML: Not Supported"):
        Nvml("cuda")
    meter.start()
    meter.stop(5)
    assert meter.last is None


BLOCK = """
from pathlib import Path

import torch
from torch import nn

from ctxbench.measure.worker import energy

energy.POWERCAP = Path({root!r})
COUNTER = energy.POWERCAP / "intel-rapl:0" / "energy_uj"


class Block(nn.Module):
    def forward(self, x):
        if type(x) is torch.Tensor:
            COUNTER.write_text(str((int(COUNTER.read_text()) + 4000) % {full}))
        return x + 1
"""
QUICK = Settings(budget_s=0.05, precision=0.0, counters=())


@pytest.fixture
def block(tmp_path: Path) -> Case:
    """A block each of whose calls takes 4 mJ of a package, whose counter is soon full."""
    zone(tmp_path / "powercap", "0", "package-0", FULL - 50_000)
    file = tmp_path / "block.py"
    file.write_text(BLOCK.format(root=str(tmp_path / "powercap"), full=FULL + 1))
    return Case(f"{file}:Block", 8, 6, 5, implementation="single", binding=Binding({}))


@pytest.mark.slow
def test_a_run_says_what_a_call_takes_also_when_it_was_interrupted(block: Case, tmp_path: Path) -> None:
    def interrupt(progress: RunProgress) -> None:
        if progress.activity == "time" and progress.fraction > 0.6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session.measure_cases([block], settings=QUICK, out=tmp_path / "run", progress=interrupt)
    (begun,) = read_run(tmp_path / "run").records
    (record,) = session.resume_run(tmp_path / "run").records
    for one in (begun, record):
        assert ENERGY.value(one) == pytest.approx(4.0)
        assert one.spent_calls >= one.latency.n > 0
    assert record.spent_calls > begun.spent_calls
    assert "RAPL" in record.energy_source
    table = str(load_run(tmp_path / "run"))
    assert "energy" in table
    assert "4.00" in table


def test_a_case_is_metered_where_there_is_a_counter_and_else_says_why_not(root: Path) -> None:
    case = Case("se", 8, 4, 4, implementation="single")
    bare = Measurement(case)
    fields = bare.prepare()
    why = fields["reasons"]["spent_mj"]
    assert why == f"this machine shows no energy counter of its CPU (RAPL, in {root})"
    assert bare.sample(0.0)[2] is None
    record = Record(case, **fields, rounds_ms=[[1.0]] * 5)
    assert (ENERGY.value(record), ENERGY.why(record)) == (None, why)
    assert ENERGY in columns([record])
    assert f"energy_mj: {why}" in reason(record)
    zone(root, "0", "package-0", 7)
    metered = Measurement(case)
    fields = metered.prepare()
    assert "spent_mj" not in fields["reasons"]
    assert "RAPL" in fields["energy_source"]
    assert metered.sample(0.0)[2] == Spent(0.0, 1)


def test_records_of_before_have_no_column_of_it() -> None:
    old = Record(Case("emau", 8, 4, 4))
    assert ENERGY not in columns([old])
    assert ENERGY in columns([replace(old, spent_mj=8.0, spent_calls=2)])
    assert ENERGY.value(replace(old, spent_mj=8.0, spent_calls=2)) == 4.0
