"""The pickers: nothing is offered that this installation can't open."""

from itertools import permutations

from widgets.pickers import Pickers
from workbench.models import MODELS
from workbench.runtimes import RUNTIMES

READY = {name: [d for d in zoo.training if zoo.weights(d).exists()] for name, zoo in MODELS.items()}
OFFERED = [name for name, datasets in READY.items() if datasets]


def values(picker) -> list[str]:
    return [value for _, value in picker.options]


def test_models_have_weights_and_runtimes_are_installed():
    pickers = Pickers(None, on_open=lambda: None)
    assert values(pickers.model) == OFFERED
    assert values(pickers.runtime) == [name for name, runtime in RUNTIMES.items() if runtime.version()]
    assert (pickers.model.value, pickers.dataset.value, pickers.device.value) == ("lenet5", "mnist", "cpu")


def test_datasets_are_those_that_the_model_was_trained_on_whatever_was_picked_before():
    pickers = Pickers(None, on_open=lambda: None)
    for one, other in [*permutations(OFFERED, 2), (OFFERED[0], OFFERED[0])]:
        for model in (one, other):
            pickers.model.value = model
            assert values(pickers.dataset) == READY[model]
            pickers.dataset.value = READY[model][-1]


def test_devices_are_those_of_the_runtime():
    pickers = Pickers(None, on_open=lambda: None)
    for name in values(pickers.runtime):
        pickers.runtime.value = name
        assert values(pickers.device) == list(RUNTIMES[name].devices_here())


def test_every_pick_is_told_when_all_four_fit_together():
    told = []
    pickers = Pickers(None, on_open=lambda: told.append(pickers.picked()))
    for model in (*OFFERED, *OFFERED):
        for dataset in READY[model]:
            pickers.model.value = model
            pickers.dataset.value = dataset
    pickers.runtime.value = "torch"
    assert told[-1][2] == "torch"
    assert all(dataset in READY[model] for model, dataset, _, _ in told)


def test_a_given_study_is_named_and_cannot_be_changed(study):
    (only,) = Pickers(study, on_open=lambda: None).children
    assert only.value == "<b>lenet5</b> on mnist, onnxruntime, cpu"
