"""The teacher's logits: computed once, kept on disk, never believed blindly."""

import copy
import os
import time

import numpy as np
import pytest
import torch
from torch import nn

from workbench import Dataset, Distill
from workbench.distillation import cache
from workbench.distillation.cache import logits_of
from workbench.models import MODELS
from workbench.steps.base import Context, Work
from workbench.weights import weight_hash


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path))


class Counted(nn.Module):
    """A teacher that counts how many samples it was asked about."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module
        self.asked: list[int] = []

    def __deepcopy__(self, memo: dict) -> "Counted":
        return self  # whoever copies it asks the same

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.asked.append(len(x))
        return self.module(x)


def _student(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return MODELS["lenet5"].build(1, 10)


def _distilled(teacher: nn.Module, dataset: Dataset, step: Distill, seed: int = 0) -> str:
    work = Work(_student(seed))
    step.apply(work, Context(dataset, teacher))
    return weight_hash(work.module)


def test_they_are_what_the_teacher_says(few_digits, lenet5):
    with torch.no_grad():
        expected = lenet5(torch.from_numpy(few_digits.prepare(few_digits.train.inputs)))
    for _ in ("computed", "read"):
        assert torch.allclose(logits_of(lenet5, few_digits, few_digits.train), expected, atol=1e-4)


def test_a_second_distillation_asks_the_teacher_about_ten_samples_at_most(few_digits, lenet5):
    """Two for the check that its classes fit, eight for the check that it is the one whose logits were kept."""
    teacher = Counted(lenet5)
    first = _distilled(teacher, few_digits, Distill(epochs=3))
    assert sum(teacher.asked) == 512 + 10  # once about each, whatever the number of epochs
    teacher.asked.clear()
    assert _distilled(teacher, few_digits, Distill(epochs=3)) == first
    assert teacher.asked == [2, 8]
    _distilled(teacher, few_digits, Distill(temperature=2.0, targets="hard", batch_size=64), seed=1)
    assert teacher.asked == [2, 8] * 2


@pytest.mark.parametrize(
    ("knobs", "why"),
    [
        ({"augment": "shift"}, "inputs are changed at random"),
        ({"mixup": 1.0}, "inputs are changed at random"),
        ({"features": "attention"}, "only its answers are cached"),
    ],
)
def test_where_inputs_change_or_features_are_compared_the_teacher_runs_and_that_is_said(few_digits, lenet5, knobs, why):
    teacher = Counted(lenet5)
    work = Work(_student())
    Distill(**knobs).apply(work, Context(few_digits, teacher))
    assert sum(teacher.asked) >= 512
    assert teacher.asked.count(128) == 4
    told = [note for note in work.notes if "teacher" in note]
    assert len(told) == 1
    assert told[0].startswith(f"The teacher ran at every update: {why}")
    assert not cache.folder().exists()


def test_other_weights_and_other_inputs_are_asked_about_anew(few_digits, lenet5):
    def changed(module: nn.Module) -> nn.Module:
        module = copy.deepcopy(module)
        module.fc2.bias.data[3] += 1.0
        return module

    brighter = Dataset(
        train=few_digits.train, validation=few_digits.validation, classes=few_digits.classes, mean=(-0.1,), std=(1.0,)
    )
    settings = [(lenet5, few_digits, few_digits.train), (changed(lenet5), few_digits, few_digits.train),
                (lenet5, few_digits, few_digits.validation), (lenet5, brighter, few_digits.train)]  # fmt: skip
    found = [logits_of(*setting) for setting in settings]
    assert len(list(cache.folder().glob("*.npy"))) == 4
    assert all(torch.equal(logits_of(*setting), before) for setting, before in zip(settings, found, strict=True))


def test_a_teacher_of_the_same_weights_that_computes_something_else_is_not_mistaken_for_the_first(few_digits, lenet5):
    class Doubled(nn.Module):
        factor = 1.0

        def __init__(self) -> None:
            super().__init__()
            self.inner = lenet5

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.factor * self.inner(x)

    one, other = Doubled().eval(), Doubled().eval()
    other.factor = 2.0
    assert weight_hash(one) == weight_hash(other)
    assert torch.allclose(
        2 * logits_of(one, few_digits, few_digits.train), logits_of(other, few_digits, few_digits.train)
    )


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"no logits at all"])
def test_a_damaged_file_is_computed_again(few_digits, lenet5, damage):
    before = logits_of(lenet5, few_digits, few_digits.train)
    (path,) = cache.folder().glob("*.npy")
    path.write_bytes(damage or path.read_bytes()[:-100])
    assert torch.equal(logits_of(lenet5, few_digits, few_digits.train), before)
    assert np.array_equal(np.load(path), before)


def test_a_process_killed_while_it_writes_leaves_nothing_that_is_read_and_is_cleaned_up_after(
    few_digits, lenet5, monkeypatch
):
    def killed(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            logits_of(lenet5, few_digits, few_digits.train)
    (partial,) = cache.folder().iterdir()
    assert partial.suffix == ".partial"
    os.utime(partial, (time.time() - 2 * cache.STALE,) * 2)
    logits_of(lenet5, few_digits, few_digits.train)
    assert [file.suffix for file in cache.folder().iterdir()] == [".npy"]


def test_it_stays_within_its_bound_and_what_was_used_last_stays(few_digits, lenet5, monkeypatch):
    parts = [few_digits.train.take(np.arange(start, start + 100)) for start in (0, 100, 200)]
    monkeypatch.setattr(cache, "LIMIT", 2 * (100 * 10 * 4 + 200))  # two parts with their headers
    for part in parts[:2]:
        logits_of(lenet5, few_digits, part)
    oldest, newest = sorted(cache.folder().iterdir(), key=lambda file: file.stat().st_mtime_ns)
    os.utime(oldest, (0, 0))
    os.utime(newest, (1, 1))
    logits_of(lenet5, few_digits, parts[0])  # used again: now the other one is the first to go
    logits_of(lenet5, few_digits, parts[2])
    assert oldest.exists()
    assert not newest.exists()
    assert sum(file.stat().st_size for file in cache.folder().iterdir()) <= cache.LIMIT


def test_logits_that_no_cache_could_hold_are_not_kept(few_digits, lenet5, monkeypatch):
    monkeypatch.setattr(cache, "LIMIT", 100)
    assert logits_of(lenet5, few_digits, few_digits.train).shape == (512, 10)
    assert not list(cache.folder().iterdir())


def test_a_folder_that_cannot_be_written_is_done_without(few_digits, lenet5, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "file"))
    assert logits_of(lenet5, few_digits, few_digits.train).shape == (512, 10)
