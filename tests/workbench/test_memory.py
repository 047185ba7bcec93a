"""Memory that does not suffice is a sentence, and costs one trial at most."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from workbench import Dataset, Finetune, Prune, Recipe, Study, WorkbenchError
from workbench.measure import run
from workbench.memory import HINT, enough_memory, shortage
from workbench.runtimes import RUNTIMES, Session
from workbench.steps.base import Context
from workbench.training import train

TOO_MUCH = 2**50  # numbers: no machine has so many
ASKED = "4,503,600 GB were asked for at once"
CUDA = "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 15.78 GiB."
ONNX = "Failed to allocate memory for requested buffer of size 4503599627370496"


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(28 * 28, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.flatten(1))


class GreedyToLearn(Small):
    """Wants more memory than there is as soon as it is trained."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            torch.empty(TOO_MUCH)
        return super().forward(x)


class GreedyToAnswer(Small):
    """Wants it in its artifact, for every batch."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + torch.zeros(TOO_MUCH).sum()


class Limited(Session):
    """A session for sixteen inputs at most."""

    def __init__(self, most: int):
        self.most, self.asked = most, []

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        self.asked.append(len(inputs))
        if len(inputs) > self.most:
            torch.empty(TOO_MUCH)
        return inputs * 2


def caught(allocate) -> Exception:
    with pytest.raises(Exception) as raised:  # noqa: PT011 (each library raises its own)
        allocate()
    return raised.value


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (caught(lambda: torch.empty(TOO_MUCH)), f"The machine ran out of memory: {ASKED}."),
        (caught(lambda: np.empty(TOO_MUCH, np.float32)), f"The machine ran out of memory: {ASKED}."),
        (caught(lambda: bytearray(2**62)), "The machine ran out of memory."),
        (caught(lambda: torch.empty(2**62)), "The machine ran out of memory."),
        (torch.OutOfMemoryError(CUDA), "The GPU ran out of memory: 21 GB were asked for at once."),
        (RuntimeError(ONNX), "The machine ran out of memory: 4,503,600 GB were asked for at once."),
        (RuntimeError("std::bad_alloc"), "The machine ran out of memory."),
        (RuntimeError("shapes don't fit"), None),
        (ValueError(""), None),
    ],
)
def test_a_shortage_is_known_by_what_each_library_says_of_it(error: Exception, sentence: str | None) -> None:
    assert shortage(error) == sentence


def test_what_is_no_shortage_comes_through_as_it_is() -> None:
    for error in (ZeroDivisionError(), WorkbenchError("out of memory", "so we say")):
        with pytest.raises(type(error)) as raised, enough_memory("adding"):
            raise error
        assert raised.value is error


def test_a_training_that_needs_too_much_fails_with_its_batch_size_and_nothing_is_lost(few_digits, tmp_path) -> None:
    module = GreedyToLearn()
    study = Study(module, few_digits, path=tmp_path)
    failed = study.run(Recipe([Finetune(batch_size=64)]))
    assert failed.state == "failed"
    assert failed.reason == (
        f"The machine ran out of memory while training with batches of 64 samples: {ASKED}. "
        "Use a smaller batch_size, now 64, or another device."
    )
    study.run(Recipe([Prune(ratio=0.5, granularity="weight")]))
    again = Study(module, few_digits, path=tmp_path)
    assert [trial.state for trial in again.trials] == ["complete", "failed", "complete"]
    assert again.trial(1).reason == failed.reason


@pytest.mark.parametrize("runtime", [RUNTIMES["torch"], RUNTIMES["onnxruntime"]], ids=lambda r: r.name)
def test_an_artifact_that_needs_too_much_fails_with_that_sentence(runtime, few_digits, tmp_path) -> None:
    study = Study(GreedyToAnswer(), few_digits, runtime=runtime.name, path=tmp_path)
    with pytest.raises(WorkbenchError, match="baseline could not be measured") as refusal:
        study.baseline  # noqa: B018
    assert refusal.value.hint == f"The machine ran out of memory while evaluating the model: {ASKED}. {HINT}"
    assert [trial.state for trial in study.trials] == ["failed"]


def test_a_timing_that_needs_too_much_names_the_batch(few_digits, tmp_path, monkeypatch) -> None:
    study = Study(Small(), few_digits, path=tmp_path, batch=32)
    monkeypatch.setattr("workbench.measure.paired", lambda *runs, **how: torch.empty(TOO_MUCH))
    with pytest.raises(WorkbenchError) as refusal:
        study.baseline  # noqa: B018
    assert f"ran out of memory while timing 32 inputs at once: {ASKED}." in refusal.value.hint
    assert refusal.value.hint.endswith("Make a study with a smaller batch, now 32; or another device.")


def test_anything_else_that_needs_too_much_names_the_step(few_digits, tmp_path, monkeypatch) -> None:
    study = Study(Small(), few_digits, path=tmp_path)
    assert study.baseline.metrics
    monkeypatch.setattr("workbench.steps.Prune.apply", lambda *given: torch.empty(TOO_MUCH))
    failed = study.run(Recipe([Prune()]))
    assert failed.reason == f"The machine ran out of memory while doing Prune: {ASKED}. {HINT}"


def test_what_is_too_much_at_once_is_answered_in_halves() -> None:
    session, inputs = Limited(16), np.arange(50.0, dtype=np.float32).reshape(50, 1)
    assert np.array_equal(run(session, inputs), inputs * 2)
    assert max(size for size in session.asked if size <= 16) == 13
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        run(Limited(0), inputs)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_cuda_device_that_is_not_there_is_refused_with_what_is_lacking(few_digits: Dataset, tmp_path) -> None:
    for runtime, lacking in (
        ("torch", "PyTorch"),
        ("onnxruntime", "ONNX Runtime"),
        ("sparse", "it runs on processors"),
    ):
        with pytest.raises(WorkbenchError, match=f"can't use the device 'cuda' here: {lacking}") as refusal:
            Study(Small(), few_digits, runtime=runtime, device="cuda", path=tmp_path)
        assert refusal.value.hint.startswith("Choose one of: cpu")
    with pytest.raises(WorkbenchError, match="Training can't use the device 'cuda' here: PyTorch"):
        train(Small(), few_digits, Finetune(), context=Context(few_digits, Small(), device="cuda"))
