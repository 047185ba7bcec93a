"""Two trials side by side: answers, classes, and layer by layer where they part."""

import copy

import numpy as np
import pytest
import torch
from scipy import stats

from workbench import Distill, Prune, Quantize, Recipe, Study, WorkbenchError
from workbench.compare import DAMAGE, Comparison, sqnr
from workbench.layers import layers_of
from workbench.runtimes import RUNTIMES, Runtime
from workbench.steps.base import Work

LAYERS = ["conv1", "conv2", "fc1", "fc2"]


@pytest.fixture(scope="module")
def trials(digits, tmp_path_factory):
    """Nothing done, eight bits, half the channels, half the weights, and the same as nothing done."""
    study = Study("lenet5", digits, path=tmp_path_factory.mktemp("studies") / "compared")
    recipes = [[], [Quantize()], [Prune(ratio=0.5)], [Prune(ratio=0.5, granularity="weight")]]
    return [study.run(Recipe(steps)) for steps in recipes]


@pytest.fixture(scope="module")
def pruned(trials) -> Comparison:
    return trials[0].study.compare(trials[0], trials[2])


@pytest.fixture(scope="module")
def quantized(trials) -> Comparison:
    return trials[0].study.compare(0, 1)


def test_flips_are_counted_by_hand(pruned, trials, digits) -> None:
    labels, before, after = digits.validation.labels, trials[0].answers(), trials[2].answers()
    for index in range(len(labels)):
        kinds = [flip for flip in ("fixed", "broken", "otherwise") if index in getattr(pruned, flip)]
        if before[index] == after[index]:
            assert kinds == []
        elif after[index] == labels[index]:
            assert kinds == ["fixed"]
        else:
            assert kinds == ["broken" if before[index] == labels[index] else "otherwise"]
    assert len(pruned.broken) > 20


def test_the_inputs_of_the_flips_are_at_hand(pruned, digits) -> None:
    inputs, labels, before, after = pruned.samples("broken")
    assert np.array_equal(inputs, digits.validation.inputs[pruned.broken])
    assert (before == labels).all()
    assert (after != labels).all()
    with pytest.raises(WorkbenchError, match="no kind of flip"):
        pruned.samples("worse")


def test_mcnemar_is_exact(pruned) -> None:
    fixed, broken = len(pruned.fixed), len(pruned.broken)
    both_tails = 2 * sum(stats.binom.pmf(k, fixed + broken, 0.5) for k in range(min(fixed, broken) + 1))
    assert pruned.p_value == pytest.approx(min(1.0, both_tails))
    assert pruned.verdict == "worse"


def test_recall_of_each_class(pruned, trials, digits) -> None:
    three = digits.validation.labels == 3
    change = next(c for c in pruned.classes if c.name == "3")
    assert change.samples == three.sum()
    assert change.before == pytest.approx((trials[0].answers()[three] == 3).mean())
    assert change.after == pytest.approx((trials[2].answers()[three] == 3).mean())


def test_a_trial_compared_with_itself_is_the_same(trials) -> None:
    same = trials[0].study.compare(trials[0], trials[0])
    assert not len(same.fixed) and not len(same.broken) and not len(same.otherwise)
    assert same.p_value == 1 and same.agreement.value == 1
    assert [layer.sqnr for layer in same.layers] == [float("inf")] * 4
    assert same.damage is None


def test_layers_tell_what_was_done(pruned, quantized, trials) -> None:
    assert [change.name for change in pruned.layers] == LAYERS
    half = {change.name: (change.before.channels, change.after.channels) for change in pruned.layers}
    assert half["conv1"] == (20, 10) and half["fc2"] == (10, 10)
    assert [change.after.bits for change in quantized.layers] == [8, 8, 8, 8]
    assert all(change.after.milliseconds > 0 and change.after.integer for change in quantized.layers)
    zeros = layers_of(trials[3])
    total = sum(np.prod(layer.weight) for layer in zeros)
    assert sum(layer.zeros * np.prod(layer.weight) for layer in zeros) == pytest.approx(0.5 * total, rel=0.02)


def test_kept_channels_are_those_whose_weights_remain(pruned, trials) -> None:
    whole, left = trials[0].module(), trials[2].module()
    for change in pruned.layers[:1]:  # later ones also lost inputs
        before = whole.get_submodule(change.name).weight
        assert torch.equal(before[torch.from_numpy(change.after.kept)], left.get_submodule(change.name).weight)


def test_what_only_lost_channels_gives_the_same_on_the_others(pruned) -> None:
    assert pruned.layers[0].sqnr > 60  # the first layer's remaining channels are computed as before
    assert pruned.damage.name == "conv2"  # which lacks half of its inputs


def test_eight_bits_do_no_damage(quantized) -> None:
    assert all(DAMAGE < change.sqnr < 60 for change in quantized.layers)
    assert quantized.damage is None


def test_damage_is_found_where_it_starts(few_digits, lenet5, tmp_path) -> None:
    """One spoiled layer in the middle: those before it are untouched."""
    study = Study(copy.deepcopy(lenet5), few_digits, path=tmp_path)
    a = study.run(Recipe())
    b = study.run(Recipe([Prune(ratio=0.95, granularity="weight", layers={"conv1": 0.0, "fc1": 0.0, "fc2": 0.0})]))
    found = study.compare(a, b)
    assert found.layers[0].sqnr == float("inf")
    assert found.damage.name == "conv2"
    assert any("damage starts at conv2" in sentence for sentence in found.sentences())


def test_a_runtime_that_shows_no_layers_leaves_out_their_outputs_only_and_says_so(
    few_digits, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(type(RUNTIMES["sparse"]), "activations", Runtime.activations)  # as of those that can't tell
    study = Study("lenet5", few_digits, runtime="sparse", path=tmp_path)
    study.run(Recipe([Prune(ratio=0.5), Prune(ratio=0.3, granularity="weight")]))
    found, labels = study.compare(0, 1), few_digits.validation.labels
    was, now = (study.trial(number).answers() == labels for number in (0, 1))
    assert (len(found.fixed), len(found.broken)) == ((~was & now).sum(), (was & ~now).sum())
    assert found.p_value == pytest.approx(
        stats.binomtest(len(found.fixed), len(found.fixed) + len(found.broken)).pvalue
    )
    assert [(change.before.channels, change.after.channels) for change in found.layers[:2]] == [(20, 10), (50, 25)]
    assert [change.after.bits for change in found.layers] == [32] * 4
    assert sum(change.after.zeros > 0 for change in found.layers) >= 2
    assert [change.sqnr for change in found.layers] == [None] * 4
    assert found.damage is None
    assert found.unseen == "PyTorch (sparse where faster) does not show what is computed inside its artifact."
    assert found.sentences()[-1] == f"{found.unseen} So the error of each layer's output is left out."
    assert [row["SQNR dB"] for row in found.table()] == ["-"] * 4


@pytest.mark.parametrize("name", RUNTIMES)
def test_every_runtime_shows_its_layers_or_refuses_to_in_words(name: str, few_digits, lenet5, tmp_path) -> None:
    runtime, inputs = RUNTIMES[name], few_digits.prepare(few_digits.validation.inputs[:4])
    if runtime.version() is None:
        pytest.skip(runtime.install())
    if name in ("inductor", "executorch"):
        with pytest.raises(WorkbenchError, match="does not show what is computed inside its artifact"):
            runtime.activations(tmp_path, inputs)
    else:
        runtime.export(Work(lenet5), inputs[:2], inputs, tmp_path / f"model{runtime.suffix}")
        assert list(runtime.activations(tmp_path / f"model{runtime.suffix}", inputs)) == LAYERS


def test_sqnr_is_the_formula() -> None:
    x = np.array([3.0, 4.0], np.float32)
    assert sqnr(x, x + np.float32(0.5)) == pytest.approx(10 * np.log10(25 / 0.5))
    assert sqnr(x, x) == float("inf")
    assert sqnr(x, np.zeros(3)) is None
    assert sqnr(np.zeros(2), x) is None


def test_it_is_readable(pruned) -> None:
    text = repr(pruned)
    assert text.startswith("Trial 2 against trial 0: worse")
    assert "20 -> 10" in text and "SQNR dB" in text


def test_a_failed_trial_can_not_be_compared(trials) -> None:
    study = trials[0].study
    failed = study.run(Recipe([Distill(teacher="resnet20")]))  # which takes larger images
    with pytest.raises(WorkbenchError, match="can't be compared: it failed"):
        study.compare(0, failed)
