"""A study that was prepared foresees recipes: sizes nearly exactly, speeds and accuracies with intervals."""

import copy
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from workbench import (
    Dataset,
    Distill,
    Finetune,
    Half,
    Pack,
    Prune,
    Quantize,
    Recipe,
    ShareWeights,
    Slim,
    Sparsify,
    Study,
    WorkbenchError,
)
from workbench.carry_out import context_of, export, rebuild
from workbench.energy import macs_by_width
from workbench.estimates import Estimate
from workbench.macs import count_macs, layer_macs
from workbench.models import fresh_model
from workbench.prediction.balanced import balanced
from workbench.prediction.base import Prediction
from workbench.prediction.calibration import Calibration
from workbench.prediction.outline import Outline
from workbench.prediction.probes import Probe, Probes, measure_probes, probe, probes_of, without_training
from workbench.prediction.prospect import EFFECTS, follow
from workbench.prediction.table import table_of
from workbench.steps import STEPS
from workbench.steps.base import Work
from workbench.training import accuracy

PRUNED = Recipe([Prune(ratio=0.5)])
FLOATS, INTEGERS = PRUNED, Recipe([Prune(ratio=0.5), Quantize()])


class Block(nn.Module):
    """One that a residual network can do without."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(32, 32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layer(x).relu()


@pytest.fixture(scope="module")
def prepared(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Prediction]:
    """LeNet-300-100, prepared, and what it then foresees of training, of which it has seen none."""
    study = Study("lenet300", digits, path=tmp_path_factory.mktemp("studies") / "lenet300")
    study.prepare_predictions(seconds=0)
    return study, study.predict(Recipe([Prune(ratio=0.7), Finetune()]))


@pytest.fixture(scope="module")
def ready(prepared: tuple[Study, Prediction]) -> Study:
    """The same study with a pruned, an int8 and a trained trial that were foreseen."""
    study, _ = prepared
    for recipe in (FLOATS, INTEGERS, Recipe([Prune(ratio=0.5), Finetune()])):
        assert study.run(recipe).state == "complete"
    return study


def test_nothing_is_said_of_accuracy_or_speed_before_anything_was_measured(digits: Dataset, tmp_path: Path) -> None:
    study = Study("lenet300", digits, path=tmp_path)
    prediction = study.predict(FLOATS)
    assert prediction.accuracy is None and prediction.speedup is None
    assert prediction.size_bytes.value == pytest.approx(prediction.parameters * 4, rel=0.05)
    assert len(prediction.notes) == 2 and not prediction.prepared
    assert study.run(FLOATS).prediction is None


def test_nothing_is_said_of_accuracy_while_no_pruning_was_tried_however_sensitive_layers_are(
    digits: Dataset, tmp_path: Path
) -> None:
    study, mask = Study("lenet300", digits, path=tmp_path), Recipe([Prune(granularity="weight", importance="l1")])
    study.sensitivity()
    found = study.predict(FLOATS)
    assert found.accuracy is None and not found.prepared
    assert any("by channel was hardly tried" in note for note in found.notes)
    measure_probes(study, wanted=lambda recipe: any(s.granularity == "channel" for s in recipe if isinstance(s, Prune)))
    found = study.predict(FLOATS)  # the same study notices what was tried meanwhile
    assert found.accuracy is not None and found.accuracy.value < 0.9
    masked = study.predict(mask)
    assert masked.accuracy is None and any("by weight was hardly tried" in note for note in masked.notes)
    assert study.predict(mask, look=True).accuracy is not None


def test_whole_blocks_are_not_foreseen_by_what_channels_cost(digits: Dataset, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 32), nn.Sequential(Block(), Block(), Block()), nn.Linear(32, 10)
    )
    study, blocks = Study(module, digits, path=tmp_path), Recipe([Prune(granularity="block", ratio=0.5)])
    study.sensitivity()
    measure_probes(study)
    assert study.predict(FLOATS).accuracy is not None
    found = study.predict(blocks)
    assert found.accuracy is None and any("by block was hardly tried" in note for note in found.notes)


def test_what_training_brings_back_is_a_rule_of_thumb_before_any_trained(prepared: tuple[Study, Prediction]) -> None:
    _, found = prepared
    assert any("rule of thumb" in note for note in found.notes)
    assert found.accuracy is not None and found.accuracy.high - found.accuracy.low > 0.1


def test_the_baseline_is_known_not_predicted(ready: Study) -> None:
    prediction, metrics = ready.predict(Recipe()), ready.baseline.metrics
    assert metrics is not None and prediction.accuracy == metrics.accuracy
    assert (prediction.macs, prediction.parameters) == (metrics.macs, metrics.parameters)
    assert prediction.speedup is not None and prediction.speedup.low == prediction.speedup.high == 1


@pytest.mark.parametrize("number", [1, 2])
def test_counts_are_exact_and_bytes_within_one_per_cent(ready: Study, number: int) -> None:
    trial = ready.trial(number)
    prediction, metrics = ready.predict(trial.recipe), trial.metrics
    assert metrics is not None
    assert (prediction.macs, prediction.parameters) == (metrics.macs, metrics.parameters)
    assert prediction.size_bytes.value == pytest.approx(metrics.size_bytes, rel=0.01)


def test_bytes_of_a_recipe_that_never_ran_are_within_one_per_cent(ready: Study, tmp_path: Path) -> None:
    recipe = Recipe([Prune(ratio=0.35, scope="global")])
    work = Work(rebuild(ready.baseline).module)
    for step in recipe:
        step.apply(work, context_of(ready))
    export(ready, work, tmp_path / "model.onnx")
    predicted = ready.predict(recipe).size_bytes
    assert predicted.value == pytest.approx((tmp_path / "model.onnx").stat().st_size, rel=0.01)


@pytest.mark.parametrize(
    "step",
    [Quantize(), Quantize(mode="dynamic"), Quantize(mode="weight-only"), Quantize(layers={"conv2": 32})],
    ids=str,
)
def test_what_layers_compute_with_is_foreseen_as_it_is_in_the_file(
    step: Quantize, digits: Dataset, tmp_path: Path
) -> None:
    study = Study("lenet5", digits, path=tmp_path / "study")
    work = Work(copy.deepcopy(study.module))
    step.apply(work, context_of(study))
    export(study, work, tmp_path / "model.onnx")
    layers = layer_macs(work.module, digits.prepare(digits.validation.inputs[:1]))
    bits = study.runtime.weight_bits(tmp_path / "model.onnx")
    prospect = follow(Recipe([step]), Outline(study.module, context_of(study)), study.runtime)
    assert prospect.macs("cpu") == macs_by_width(sum(layers.values()), layers, bits, step.mode)


def test_energy_and_memory_are_foreseen_by_what_was_measured(ready: Study) -> None:
    trials = [trial for trial in ready.trials if trial.metrics and not trial.metrics.simulated and trial.number]
    held = 0
    for trial in trials:
        prediction, metrics = ready.predict(trial.recipe), trial.metrics
        assert metrics and metrics.energy and metrics.process and prediction.energy and prediction.memory
        if not metrics.energy.measured:
            assert prediction.energy.value == pytest.approx(metrics.energy.millijoules, rel=0.02)
        held += prediction.memory.low <= metrics.process.peak_bytes <= prediction.memory.high
    assert trials and held >= 0.6 * len(trials)
    smaller, whole = (ready.predict(Recipe(steps)) for steps in ([Prune(ratio=0.9), Quantize()], []))
    assert smaller.energy and whole.energy and smaller.energy.value < 0.2 * whole.energy.value
    assert smaller.memory and whole.memory and smaller.memory.value < whole.memory.value
    simulated = ready.predict(Recipe([Quantize(weight_bits=2, simulate=True)]))
    assert simulated.energy is simulated.memory is None


def test_a_look_is_the_accuracy_of_the_pruned_model(ready: Study) -> None:
    recipe = Recipe([Prune(ratio=0.4, importance="l1")])
    looked = ready.predict(recipe, look=True).accuracy
    module = rebuild(ready.run(recipe)).module
    assert looked is not None
    assert looked.value == pytest.approx(accuracy(module, ready.dataset, ready.dataset.validation))


def test_more_pruning_is_foreseen_to_cost_more_and_to_weigh_less(ready: Study) -> None:
    little, much = (ready.predict(Recipe([Prune(ratio=ratio)])) for ratio in (0.1, 0.85))
    assert little.accuracy is not None and much.accuracy is not None
    assert little.accuracy.value > much.accuracy.value
    assert little.size_bytes.value > much.size_bytes.value and little.macs > much.macs


def test_training_is_foreseen_to_bring_something_back(ready: Study) -> None:
    bare, trained = (ready.predict(Recipe([Prune(ratio=0.7), *more])) for more in ([], [Finetune()]))
    assert bare.accuracy is not None and trained.accuracy is not None
    assert trained.accuracy.value > bare.accuracy.value
    assert not any("rule of thumb" in note for note in trained.notes)  # a trial with training is known


def test_a_simulated_recipe_claims_no_speed(ready: Study) -> None:
    prediction = ready.predict(Recipe([Quantize(weight_bits=3, simulate=True)]))
    assert prediction.speedup is None and prediction.latency is None
    assert "Simulated: no speed is claimed." in prediction.notes


def test_fewer_bits_make_a_smaller_packed_file(ready: Study) -> None:
    sizes = [ready.predict(Recipe([Quantize(weight_bits=b, simulate=True)])).size_bytes.value for b in (8, 4, 2)]
    assert sizes == sorted(sizes, reverse=True)


def test_a_packed_file_is_foreseen_within_its_interval(ready: Study) -> None:
    recipe = Recipe([ShareWeights(bits=4)])
    predicted, trial = ready.predict(recipe).size_bytes, ready.run(recipe)
    assert trial.metrics is not None
    assert predicted.low <= trial.metrics.size_bytes <= predicted.high


def test_packed_files_are_foreseen_the_better_the_more_there_are(digits: Dataset, tmp_path: Path) -> None:
    study = Study("lenet300", digits, path=tmp_path)

    def packed(ratio: float) -> Recipe:
        return Recipe([Prune(ratio=ratio), Quantize(weight_bits=4, simulate=True)])

    before = study.predict(packed(0.4)).size_bytes
    for ratio in (0.2, 0.5, 0.7):
        study.run(packed(ratio))
    after, metrics = study.predict(packed(0.4)).size_bytes, study.run(packed(0.4)).metrics
    assert metrics is not None and after.low <= metrics.size_bytes <= after.high
    assert after.high / after.low < before.high / before.low


def test_the_file_of_the_very_same_recipe_is_known(digits: Dataset, tmp_path: Path) -> None:
    study = Study("lenet300", digits, path=tmp_path)
    before = study.predict(INTEGERS).size_bytes
    metrics = study.run(INTEGERS).metrics
    after = study.predict(INTEGERS).size_bytes
    assert metrics is not None and after.value == metrics.size_bytes
    assert after.high - after.low < 0.1 * (before.high - before.low)


def test_every_step_has_its_effect() -> None:
    assert all(any(issubclass(step, kind) for kind in EFFECTS) for step in STEPS.values())


@pytest.mark.parametrize(
    "step",
    [
        Slim(ratio=0.5),
        Sparsify(ratio=0.9),
        Distill(temperature=2),
        Half(),
        Pack(),
        Prune(granularity="weight", threshold=0.05),
        Prune(granularity="n:m", n=2, m=4),
        Prune(scope="latency"),
        Quantize(mode="weight-only", weight_bits=4),
        Quantize(average_bits=4, simulate=True),
    ],
    ids=lambda step: step.describe(),
)
def test_every_step_can_be_foreseen(ready: Study, step: object) -> None:
    prediction = ready.predict(Recipe([step]))  # type: ignore[list-item]
    assert prediction.size_bytes.low <= prediction.size_bytes.value <= prediction.size_bytes.high
    assert prediction.sentence().startswith("Predicted, not measured: ")


def test_another_student_is_foreseen_by_its_own_layers(ready: Study, tmp_path: Path) -> None:
    recipe = Recipe([Distill(student="lenet5", epochs=1), Quantize()])
    found = ready.predict(recipe, look=True)  # nothing of it can be tried without training
    student = fresh_model("lenet5", ready.dataset)
    assert found.parameters == sum(parameter.numel() for parameter in student.parameters())
    assert found.macs == count_macs(student, ready.dataset.prepare(ready.dataset.calibration.inputs[:1]))
    assert found.speedup is None and any("random weights" in note for note in found.notes)
    trial = ready.run(recipe)
    assert trial.metrics is not None and found.accuracy is not None
    assert found.size_bytes.low <= trial.metrics.size_bytes <= found.size_bytes.high
    assert found.accuracy.low <= trial.metrics.accuracy.value <= found.accuracy.high
    floats = ready.trial(1).metrics
    assert floats is not None  # files of another model say nothing of this one's
    assert ready.predict(FLOATS).size_bytes.value == pytest.approx(floats.size_bytes, rel=0.01)


def test_fresh_weights_are_foreseen_to_begin_by_chance(ready: Study) -> None:
    kept, fresh = (ready.predict(Recipe([Distill(epochs=1, fresh=fresh)])).accuracy for fresh in (False, True))
    assert kept is not None and fresh is not None
    assert fresh.value < kept.value and fresh.high - fresh.low > kept.high - kept.low


def test_what_can_not_be_foreseen_is_refused(ready: Study) -> None:
    with pytest.raises(WorkbenchError, match="model"):
        ready.predict(Recipe([Distill(student="nosuch")]))
    with pytest.raises(WorkbenchError, match="nothing to prune"):
        ready.predict(Recipe([Prune(granularity="head")]))


def test_what_was_foreseen_is_kept_with_the_trial_and_set_against_what_came(ready: Study) -> None:
    assert ready.trial(1).prediction is not None
    found = {c.name: c for c in ready.calibration()}
    assert {"accuracy", "size_bytes", "speedup"} <= set(found)
    assert found["size_bytes"].trials[:3] == [1, 2, 3] and 0 <= found["size_bytes"].held <= 1
    assert "90% intervals held" in found["accuracy"].sentence()


def test_what_was_looked_at_before_is_judged_apart(digits: Dataset, prepared: tuple[Study, Prediction]) -> None:
    study, _ = prepared
    tried, untried = Recipe([Prune(ratio=0.62, importance="l1")]), Recipe([Prune(ratio=0.57, importance="l1")])
    assert study.predict(tried, look=True).looked and not study.predict(untried).looked
    one, other = study.run(tried).number, study.run(untried).number
    found = {c.name: c for c in study.calibration()}
    assert one in found["looked"].trials and one not in found["accuracy"].trials
    assert other in found["accuracy"].trials and other not in found["looked"].trials
    assert {one, other} <= set(found["size_bytes"].trials)


def test_calibration_counts_what_held() -> None:
    estimate = Estimate(value=0.9, low=0.8, high=1.0)
    calibration = Calibration("accuracy", [1, 2], [estimate, estimate], [0.85, 0.5])
    assert calibration.held == 0.5 and calibration.error == pytest.approx(0.225)


def test_curves_along_the_ratio_are_measured_while_there_is_time_and_sharpen_what_is_foreseen(
    digits: Dataset, tmp_path: Path
) -> None:
    study = Study("lenet300", digits, path=tmp_path)
    study.sensitivity()
    measure_probes(study)
    asked = Recipe([Prune(ratio=0.4, importance="l1")])
    before, tried = study.predict(asked).accuracy, len(probes_of(study).found)
    known = measure_probes(study, seconds=10.0, wanted=lambda r: r != asked, importances=["l1"])
    assert len(known.found) > tried + 5 and known.of(asked) is None
    after, truth = study.predict(asked).accuracy, probe(study, asked)
    assert before is not None and after is not None
    assert after.value == pytest.approx(truth.right / truth.samples, abs=0.02)
    assert after.high - after.low <= before.high - before.low


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_a_probe_by_known_scores_is_that_of_the_step(scope: str, ready: Study) -> None:
    recipe = Recipe([Prune.model_validate({"ratio": 0.6, "scope": scope, "importance": "taylor"})])
    work = Work(copy.deepcopy(ready.module))
    for step in recipe:
        step.apply(work, context_of(ready, recipe.seed))
    found = probe(ready, recipe)
    assert found.right / found.samples == pytest.approx(
        accuracy(work.module, ready.dataset, ready.dataset.validation.take(slice(found.samples))), abs=2e-3
    )


def test_a_probe_is_judged_on_samples_that_stand_for_all(ready: Study) -> None:
    split, chosen = ready.dataset.validation, balanced(ready, 60)
    found = probe(ready, Recipe(), samples=60)
    assert found.balanced and found.samples == 60
    assert found.right == (ready.baseline.answers()[chosen] == split.labels[chosen]).sum()


def test_preparing_again_measures_nothing_anew(ready: Study) -> None:
    rows = len(table_of(ready).rows)
    told: list[dict] = []
    ready.prepare_predictions(seconds=0, on_progress=told.append)
    assert len(table_of(ready).rows) == rows > 0
    assert told[-1]["share"] == 1.0


def test_a_line_cut_short_by_a_kill_costs_only_itself(ready: Study, tmp_path: Path) -> None:
    table = table_of(ready)
    copied = tmp_path / "table.jsonl"
    copied.write_bytes(table.path.read_bytes() + b'{"form": "float32", "cu')
    assert type(table)(copied, **table.here).rows == table.rows


@pytest.mark.parametrize("other", ["version", "processor"])
def test_speeds_of_another_machine_or_version_of_the_runtime_are_measured_anew(ready: Study, other: str) -> None:
    table = table_of(ready)
    elsewhere = {**table.here, other: "another"}
    assert table.rows and type(table)(table.path, **elsewhere).rows == []


def test_a_prediction_is_plain_data(ready: Study) -> None:
    prediction = ready.predict(INTEGERS)
    assert type(prediction).model_validate(json.loads(prediction.model_dump_json())) == prediction


def test_the_form_of_the_file_follows_from_the_recipe(ready: Study) -> None:
    def form(*steps: object) -> str:
        return follow(Recipe(steps), ready.outline, ready.runtime).form  # type: ignore[arg-type]

    assert form() == form(Prune()) == "float32"
    assert form(Half()) == "float16"
    narrow = Quantize(mode="weight-only"), Quantize(mode="weight-only", layers={"fc1": 4})
    assert (
        len({form(*steps) for steps in ([narrow[0]], [narrow[1]], [Quantize(mode="weight-only", average_bits=5)])}) == 3
    )
    assert form(Quantize()) == form(Prune(), Quantize()) != form(Quantize(mode="weight-only", weight_bits=4))
    assert form(Pack()) == form(ShareWeights()) == form(Quantize(weight_bits=2, simulate=True)) == "packed"


def test_what_was_tried_is_found_again_whatever_the_seed_unless_it_is_by_chance(tmp_path: Path) -> None:
    probes = Probes(tmp_path / "probes.jsonl")
    steps = [Prune(ratio=0.6), Quantize(weight_bits=4)]
    probes.add(Probe(without_training(Recipe(steps, seed=1)).to_dict(), 300, 500))
    assert probes.share(Recipe([*steps, Finetune()], seed=2)) == 0.6
    by_chance = [Prune(ratio=0.6, importance="random")]
    probes.add(Probe(without_training(Recipe(by_chance, seed=1)).to_dict(), 100, 500))
    assert probes.share(Recipe(by_chance, seed=1)) == 0.2
    assert probes.share(Recipe(by_chance, seed=2)) is None
