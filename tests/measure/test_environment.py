import json
import sys
from types import SimpleNamespace

import psutil
import pytest
import torch

from ctxbench.errors import UserError
from ctxbench.measure import environment as module
from ctxbench.measure import nvml
from ctxbench.measure.environment import ceilings, environment, fingerprint


def test_an_environment_is_plain_data_that_stays_the_same() -> None:
    env = environment("cpu")
    assert type(env["torch"]) is str  # a TorchVersion would make the parent import torch
    assert json.loads(json.dumps(env)) == env
    assert fingerprint(env) == fingerprint(environment("cpu"))
    assert fingerprint(env) != fingerprint({**env, "threads": 0})
    assert env["logical_cores"] == psutil.cpu_count()


def test_settings_that_change_speed_or_memory_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert environment("cpu")["settings"]["OMP_NUM_THREADS"] == "1"


def test_ceilings_are_the_best_of_several_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GEMM_SIZES", (16, 32))
    monkeypatch.setattr(module, "COPY_BYTES", 2**20)
    seconds = iter([9.0, 2e-6, 9.0, 9.0, 9.0, 9.0, 9.0, 8e-6, 9.0, 9.0, 2**-10, 9.0])
    monkeypatch.setattr(module, "_seconds", lambda call, device: next(seconds))
    found = ceilings("cpu", "float32")
    assert found == pytest.approx({"gemm_gflops": 2 * 32**3 / 8e-6 / 1e9, "copy_gib_s": 2.0})


def test_ceilings_are_measured() -> None:
    found = ceilings("cpu", "float32")
    assert found["gemm_gflops"] > 0
    assert found["copy_gib_s"] > 0


class FakeError(Exception):
    pass


def fake_nvml(reasons: int = 0, error: str = "") -> SimpleNamespace:
    def init() -> None:
        if error:
            raise FakeError(error)

    masks = ("HwSlowdown", "SwPowerCap", "SwThermalSlowdown", "HwThermalSlowdown", "HwPowerBrakeSlowdown")
    return SimpleNamespace(
        NVMLError=FakeError,
        NVML_CLOCK_SM=1,
        NVML_CLOCK_MEM=2,
        nvmlInit=init,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlSystemGetDriverVersion=lambda: "550.1",
        nvmlDeviceGetMaxClockInfo=lambda handle, clock: 1000 * clock,
        nvmlDeviceGetCurrentClocksThrottleReasons=lambda handle: reasons,
        **{f"nvmlClocksThrottleReason{mask}": 4 << i for i, mask in enumerate(masks)},
    )


@pytest.fixture
def _gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    properties = SimpleNamespace(
        name="GPU",
        uuid="1-2",
        major=9,
        minor=0,
        multi_processor_count=132,
        total_memory=2**37,
        L2_cache_size=50 * 2**20,
    )
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)


@pytest.mark.usefixtures("_gpu")
def test_a_gpu_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml())
    env = environment("cuda:0")
    assert (env["gpu"], env["capability"], env["l2_mib"], env["driver"]) == ("GPU", "9.0", 50.0, "550.1")
    assert (env["max_sm_clock_mhz"], env["max_memory_clock_mhz"]) == (1000, 2000)
    assert json.loads(json.dumps(env)) == env


@pytest.mark.usefixtures("_gpu")
def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="unknown device 'foo'; cpu, cuda or cuda:N"):
        environment("foo")
    with pytest.raises(UserError, match="no device 'cuda:1': there are 1"):
        environment("cuda:1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"no device 'cuda': torch .*; use --device cpu"):
        environment("cuda")


@pytest.mark.usefixtures("_gpu")
@pytest.mark.parametrize(("reasons", "throttled"), [(0, False), (1, False), (4, True), (32 + 1, True)])
def test_throttling_is_what_slows_clocks_not_idling(
    monkeypatch: pytest.MonkeyPatch, reasons: int, throttled: bool
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml(reasons))
    assert nvml.is_throttled("cuda") is throttled


@pytest.mark.usefixtures("_gpu")
def test_without_nvml_there_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert nvml.facts("cuda") == {"nvml": "nvidia-ml-py is not installed"}
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml(error="library not found"))
    with pytest.raises(nvml.NvmlError, match="NVML: library not found"):
        nvml.is_throttled("cuda")
