"""Energy: from the machine's counters where there are any, and never an estimate called a measurement."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from workbench.energy import Packages, macs_by_width, measured_energy, modelled_energy


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


def test_a_measurement_says_that_it_is_of_the_whole_chip(tmp_path, nvml):
    _domain(tmp_path, "intel-rapl:0", "package-0", 0)
    for device in ("cpu", "cuda"):
        found = measured_energy(lambda: None, 1, device, seconds=0, powercap=tmp_path)
        assert "whole" in found.source and "idle power and other programs included" in found.source


@pytest.mark.parametrize(("width", "picojoules"), [("float32", 4.6), ("float16", 1.5), ("int8", 0.23)])
def test_the_model_is_that_of_horowitz(width, picojoules):
    # a million MACs, and a thousand bytes of 160 pJ
    found = modelled_energy({width: 1_000_000}, 1_000)
    assert found.millijoules == pytest.approx((picojoules * 1e6 + 1.6e5) / 1e9)
    assert not found.measured and "Horowitz" in found.source


def test_operations_of_several_widths_add_up():
    found = modelled_energy({"float32": 1_000_000, "int8": 2_000_000}, 0)
    assert found.millijoules == pytest.approx((4.6e6 + 2 * 0.23e6) / 1e9)


LAYERS = {"conv": 700, "fc": 200}  # and 100 between them


@pytest.mark.parametrize(
    ("bits", "mode", "widths"),
    [
        ({}, None, {"int8": 0, "float32": 1000}),
        ({"conv": 8, "fc": 8}, "static", {"int8": 1000, "float32": 0}),
        ({"conv": 32, "fc": 8}, "static", {"int8": 300, "float32": 700}),
        ({"fc": 8}, "dynamic", {"int8": 200, "float32": 800}),
        ({"conv": 4, "fc": 8}, "weight-only", {"int8": 0, "float32": 1000}),
    ],
)
def test_each_layer_counts_as_what_it_computes_with(bits, mode, widths):
    assert macs_by_width(1000, LAYERS, bits, mode) == widths


@pytest.mark.parametrize(("lacking", "width"), [("", "float16"), ("it has none", "float32")])
def test_narrow_floats_count_as_such_where_the_device_computes_with_them(lacking, width, monkeypatch):
    monkeypatch.setattr("workbench.energy.lacks_half", lambda precision, device: lacking)
    assert macs_by_width(1000, LAYERS, {}, None, "bfloat16") == {"int8": 0, width: 1000}
