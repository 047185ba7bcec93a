"""Energy: from the machine's counters where there are any, and never an estimate called a measurement."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from workbench.energy import Packages, measured_energy, modelled_energy


def _domain(folder: Path, name: str, title: str, microjoules: int, largest: int = 1_000_000_000) -> Path:
    domain = folder / name
    domain.mkdir()
    for file, content in (("name", title), ("energy_uj", microjoules), ("max_energy_range_uj", largest)):
        (domain / file).write_text(f"{content}\n")
    return domain


def _spend(domain: Path, microjoules: int) -> None:
    file = domain / "energy_uj"
    file.write_text(f"{int(file.read_text()) + microjoules}\n")


def test_the_counters_of_all_processors_are_summed_and_divided_by_the_inputs(tmp_path):
    packages = [_domain(tmp_path, f"intel-rapl:{i}", f"package-{i}", 5_000_000) for i in (0, 1)]
    part = _domain(tmp_path, "intel-rapl:0:0", "core", 0)

    def run() -> None:
        for domain in (*packages, part):  # what a part takes is in its package already
            _spend(domain, 4_000)

    found = measured_energy(run, inputs=4, seconds=0, powercap=tmp_path)
    assert found.millijoules == pytest.approx(2 * 4 / 4)
    assert found.measured and "RAPL" in found.source


def test_a_counter_that_overflows_goes_on(tmp_path):
    domain = _domain(tmp_path, "intel-rapl:0", "package-0", 999_000, largest=1_000_000)
    counter = Packages([domain])
    (domain / "energy_uj").write_text("2000\n")
    assert counter() == pytest.approx(0.003)


def test_a_machine_without_counters_measures_nothing_and_runs_nothing(tmp_path):
    runs: list[int] = []
    assert measured_energy(lambda: runs.append(1), 1, powercap=tmp_path) is None
    assert measured_energy(lambda: runs.append(1), 1, powercap=tmp_path / "missing") is None
    assert runs == []


def test_counters_that_may_not_be_read_are_passed_over(tmp_path):
    domain = _domain(tmp_path, "intel-rapl:0", "package-0", 0)
    (domain / "energy_uj").unlink()
    (domain / "energy_uj").mkdir()  # refused even to root
    assert measured_energy(lambda: None, 1, powercap=tmp_path) is None


@pytest.fixture
def nvml(monkeypatch) -> SimpleNamespace:
    """NVML as its documentation has it: a counter of millijoules."""

    class NVMLError(Exception):
        pass

    fake = SimpleNamespace(NVMLError=NVMLError, energy=1_000, open=0)
    fake.nvmlInit = lambda: setattr(fake, "open", fake.open + 1)
    fake.nvmlShutdown = lambda: setattr(fake, "open", fake.open - 1)
    fake.nvmlDeviceGetHandleByIndex = lambda index: index
    fake.nvmlDeviceGetTotalEnergyConsumption = lambda handle: fake.energy
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    return fake


def test_on_a_gpu_nvml_is_read_and_closed(nvml):
    found = measured_energy(lambda: setattr(nvml, "energy", nvml.energy + 30), 2, "cuda", seconds=0)
    assert found.millijoules == pytest.approx(15)
    assert "NVML" in found.source
    assert nvml.open == 0


def test_a_gpu_that_does_not_tell_is_not_asked(nvml):
    def refuse(handle):
        raise nvml.NVMLError

    nvml.nvmlDeviceGetTotalEnergyConsumption = refuse
    assert measured_energy(lambda: None, 1, "cuda") is None


def test_without_the_package_for_gpus_nothing_is_measured(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert measured_energy(lambda: None, 1, "cuda") is None


def test_the_model_is_that_of_horowitz():
    # a million float MACs of 4.6 pJ, and a thousand bytes of 160 pJ
    plain, small = modelled_energy(1_000_000, 1_000, int8=False), modelled_energy(1_000_000, 1_000, int8=True)
    assert plain.millijoules == pytest.approx((4.6e6 + 1.6e5) / 1e9)
    assert small.millijoules == pytest.approx((0.23e6 + 1.6e5) / 1e9)
    assert not plain.measured and "Horowitz" in plain.source
