"""A trial is run elsewhere with its own numbers, or not at all: integers stay integers, 16-bit floats stay so."""

import json

import numpy as np
import pytest

from workbench import Finetune, Half, Pack, Quantize, Recipe, Study, Trial, WorkbenchError
from workbench.candidates import Subject
from workbench.carry_out import GRIDS, rebuild
from workbench.runtimes import PACKED, RUNTIMES, Runtime

INTEGERS = ("executorch", "openvino")
RECIPES = {
    "trained int8": Recipe([Quantize(), Finetune(epochs=1)]),
    "weight-only": Recipe([Quantize(mode="weight-only")]),
    "a float layer": Recipe([Quantize(layers={"fc1": 32})]),
    "packed int8": Recipe([Quantize(), Pack()]),
    "half": Recipe([Half()]),
}


@pytest.fixture(scope="module")
def trial(few_digits, tmp_path_factory):
    study = Study("lenet5", few_digits, path=tmp_path_factory.mktemp("studies") / "lenet5")
    done: dict[str, Trial] = {}

    def trial(name: str) -> Trial:
        if name not in done:
            done[name] = study.run(RECIPES[name])
        return done[name]

    return trial


def answers(runtime: Runtime, trial: Trial, tmp_path) -> tuple[np.ndarray, np.ndarray]:
    """What a runtime answers, and what the trial's own file does."""
    subject = Subject.of(trial, 64)
    path, _ = subject.file_for(runtime, tmp_path)
    return runtime.load(path)(subject.inputs), trial.load()(subject.inputs)


@pytest.mark.parametrize("runtime", [RUNTIMES[name] for name in INTEGERS], ids=INTEGERS)
def test_integers_on_their_trained_scales_stay_integers(runtime, trial, tmp_path):
    ours, own = answers(runtime, trial("trained int8"), tmp_path)
    path, _ = Subject.of(trial("trained int8"), 2).file_for(runtime, tmp_path)
    assert set(runtime.weight_bits(path).values()) == {8}
    assert np.abs(ours - own).max() < 0.1 * np.abs(own).max()


@pytest.mark.parametrize("name", ["torch", "inductor", "sparse"])
@pytest.mark.parametrize("recipe", ["trained int8", "weight-only", "packed int8"])
def test_a_runtime_of_floats_is_passed_over(name, recipe, trial, tmp_path):
    with pytest.raises(WorkbenchError, match=r"no kernels for the integers of this trial .* would be another model"):
        Subject.of(trial(recipe), 2).file_for(RUNTIMES[name], tmp_path)
    assert not list(tmp_path.iterdir()), "nothing was exported in floats"


@pytest.mark.parametrize("runtime", [RUNTIMES["executorch"]], ids=["executorch"])
def test_a_runtime_that_would_round_a_layer_more_is_passed_over(runtime, trial, tmp_path):
    with pytest.raises(WorkbenchError, match="It stores fc1 in 8 bits, and this trial in 32"):
        Subject.of(trial("a float layer"), 2).file_for(runtime, tmp_path)


def test_a_packed_file_is_unpacked_with_the_very_same_integers(trial, tmp_path):
    packed, onnx = trial("packed int8"), RUNTIMES["onnxruntime"]
    path, note = Subject.of(packed, 2).file_for(onnx, tmp_path)
    assert note == "unpacked first"
    assert onnx.weight_bits(path) == PACKED.weight_bits(packed.artifact)
    ours, own = answers(onnx, packed, tmp_path)
    assert np.array_equal(ours, own)


def test_sixteen_bit_floats_stay_so_or_are_passed_over(trial, tmp_path):
    ours, own = answers(RUNTIMES["torch"], trial("half"), tmp_path)
    assert np.abs(ours - own).max() < 0.01 * np.abs(own).max()
    size = (tmp_path / "torch.pt2").stat().st_size
    assert size < 2 * trial("half").study.baseline.metrics.parameters * 1.2, "two bytes for each weight"
    for name in ("openvino", "sparse", "inductor"):
        with pytest.raises(WorkbenchError, match="It does not run float16"):
            Subject.of(trial("half"), 2).file_for(RUNTIMES[name], tmp_path)


def test_the_grids_of_a_trial_are_kept(trial):
    work = rebuild(trial("trained int8"))
    assert set(work.grids) == {f"{layer}.weight" for layer in ("conv1", "conv2", "fc1", "fc2")}
    assert all(grid.holds(work.module.get_parameter(name).detach()) for name, grid in work.grids.items())
    assert work.activations and all(grid.bits == 8 for grid in work.activations.values())


@pytest.mark.parametrize("runtime", [RUNTIMES["executorch"]], ids=["executorch"])
def test_a_trial_from_before_grids_were_kept_is_not_rounded_a_second_time(runtime, trial, tmp_path):
    old = trial("trained int8")
    kept = old.study.storage.folder(old.number) / GRIDS
    content = kept.read_bytes()
    kept.unlink()
    try:
        with pytest.raises(WorkbenchError, match="did not keep their scales"):
            Subject.of(old, 2).file_for(runtime, tmp_path)
    finally:
        kept.write_bytes(content)


def test_the_file_of_grids_is_plain_text_and_numbers(trial):
    trained = trial("trained int8")
    content = (trained.study.storage.folder(trained.number) / GRIDS).read_bytes()
    size = int.from_bytes(content[:8], "little")
    told = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["grids"])
    assert told["weights/fc1.weight"] == {"bits": 8, "zero_point": 0, "signed": True, "block": 0}
