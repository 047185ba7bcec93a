"""What the tests share: real digits, the zoo's real weights, and a study that really ran."""

import copy
import os
import tempfile

import pytest
import torch
from hypothesis import HealthCheck, settings
from torch import nn

from workbench import Cancelled, Dataset, Distill, Finetune, Prune, Quantize, Recipe, Study, WorkbenchError
from workbench.data import load_dataset
from workbench.models import load_model
from workbench.runtimes import Runtime
from workbench.steps.base import Context

# Processes that test side by side do not wait for each other's trials.
os.environ.setdefault("WORKBENCH_LOCKS", tempfile.mkdtemp())
# Nothing is taken from an earlier run, nor left to a later one.
os.environ["WORKBENCH_CACHE"] = tempfile.mkdtemp()
# Timings say nothing on a busy machine, so they are short; a failing example is printed for anyone to run it again.
os.environ.setdefault("WORKBENCH_TIMING_SECONDS", "0.5")
settings.register_profile("busy", deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
settings.load_profile("busy")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test of a runtime that can't be used here is skipped, and says why."""
    runtime = item.callspec.params.get("runtime") if hasattr(item, "callspec") else None
    if isinstance(runtime, Runtime):
        try:
            runtime.check()
            runtime.check_export()
        except WorkbenchError as error:
            pytest.skip(str(error))


@pytest.fixture(scope="session")
def mnist() -> Dataset:
    """MNIST, whole."""
    return load_dataset("mnist")


@pytest.fixture(scope="session")
def digits(mnist: Dataset) -> Dataset:
    """MNIST cut to 2,000 training, 500 validation and 500 test digits."""
    sizes = {"train": 2_000, "validation": 500, "test": 500}
    splits = {name: (getattr(mnist, name).inputs[:n], getattr(mnist, name).labels[:n]) for name, n in sizes.items()}
    return Dataset(**splits, classes=mnist.classes, name="mnist")


@pytest.fixture(scope="session")
def few_digits(digits: Dataset) -> Dataset:
    """512 training and 200 validation digits, for trainings of a second."""
    cut = {name: getattr(digits, name) for name in ("train", "validation")}
    train, validation = (
        (split.inputs[:n], split.labels[:n]) for split, n in zip(cut.values(), (512, 200), strict=True)
    )
    return Dataset(train=train, validation=validation, classes=digits.classes, name="mnist")


@pytest.fixture(scope="session")
def zoo_lenet5(digits: Dataset) -> nn.Module:
    return load_model("lenet5", digits)


@pytest.fixture
def lenet5(zoo_lenet5: nn.Module) -> nn.Module:
    """LeNet-5 with the zoo's weights for MNIST; a test may change it."""
    return copy.deepcopy(zoo_lenet5)


@pytest.fixture
def context(digits: Dataset, lenet5: nn.Module) -> Context:
    """What a step may use, on the small digits."""
    return Context(digits, copy.deepcopy(lenet5))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """The same sums in the same order, whatever ran before."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def study(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """LeNet-5 on the small digits in ONNX Runtime, with three trials; tests only read it.

    Trial 0 is the baseline, 1 is pruned, trained and quantized, 2 failed (its teacher takes larger images), 3 was
    cancelled.
    """

    def stop(facts: dict) -> None:
        if facts["name"] == "Finetune" and "loss" in facts:
            raise Cancelled

    study = Study("lenet5", digits, path=tmp_path_factory.mktemp("studies") / "lenet5")
    study.run(Recipe([Prune(ratio=0.5), Finetune(), Quantize()]))
    study.run(Recipe([Distill(teacher="resnet20")]))
    study.run(Recipe([Finetune(epochs=3)]), on_progress=stop)
    return study


@pytest.fixture(scope="session")
def scanned(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """LeNet-300-100 on the small digits, whose sensitivity is known; tests only read it."""
    study = Study("lenet300", digits, path=tmp_path_factory.mktemp("studies") / "lenet300")
    study.sensitivity()
    return study
