"""What the doctor says of this machine."""

import sys

import pytest

from workbench import cli
from workbench.carry_out import processors
from workbench.doctor import examine
from workbench.runtimes import RUNTIMES


def test_it_names_the_devices_with_processors_memory_and_int8_instructions():
    devices = examine()["Devices"]
    assert devices[0].startswith("cpu: ")
    assert f"{processors()} of " in devices[0]
    assert "GiB memory" in devices[0]
    assert "int8 instructions: " in devices[1]
    assert any(line.startswith("cuda") for line in devices)


@pytest.mark.parametrize("runtime", RUNTIMES.values(), ids=list(RUNTIMES))
def test_it_names_every_runtime_with_its_version_and_kernels(runtime):
    lines = examine()["Runtimes"]
    index = next(i for i, line in enumerate(lines) if line.startswith(f"{runtime.name} {runtime.version()} on cpu"))
    assert all(str(kernel) in lines[index + 1] for kernel in runtime.kernels)
    assert runtime.kernels or "32-bit floats only" in lines[index + 1]


def test_it_says_how_to_install_what_is_missing(monkeypatch):
    missing = RUNTIMES["onnxruntime"]
    monkeypatch.setattr(type(missing), "version", lambda self: None)
    found = examine()
    assert "onnxruntime: not installed" in found["Runtimes"]
    assert f"onnxruntime: run `{missing.install()}`." in found["For more"]


def test_the_command_prints_all_of_it(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["workbench", "doctor"])
    with pytest.raises(SystemExit):
        cli.main()
    said = capsys.readouterr().out
    found = examine()
    assert all(title in said for title in found)
    assert all(line in said for line in found["Runtimes"] + found["For more"])
