"""The best runtime is chosen by measurement, and what was left out is said with its reason."""

import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from workbench import Cancelled, Quantize, Recipe, Study, WorkbenchError
from workbench.agreement import Agreement
from workbench.best import Best, Tried, best_runtime
from workbench.candidates import Subject
from workbench.estimates import Estimate
from workbench.evaluation import TASKS
from workbench.machine import Machine
from workbench.runtimes import RUNTIMES
from workbench.runtimes.base import Session
from workbench.runtimes.inductor import Inductor
from workbench.runtimes.torch_eager import TorchEager
from workbench.search.budget import Budget
from workbench.steps.base import Work

TORCH = RUNTIMES["torch"]


class Bent(TorchEager):
    """Eager PyTorch, whose outputs go through a function before anyone sees them."""

    name, title = "bent", "Bent"

    def __init__(self, bend):
        self.bend = bend

    def load(self, path, threads=1, device="cpu") -> Session:
        run = TORCH.load(path, threads, device)
        return lambda inputs: self.bend(run(inputs))


def surprise(outputs: np.ndarray) -> np.ndarray:
    raise RuntimeError("a surprise")


def race(monkeypatch, *runtimes, **options) -> Best:
    """What becomes of a small classifier in these runtimes beside PyTorch's eager one."""
    monkeypatch.setattr("workbench.best.RUNTIMES", {runtime.name: runtime for runtime in (TORCH, *runtimes)})
    torch.manual_seed(0)
    inputs = np.random.default_rng(0).normal(size=(64, 8)).astype(np.float32)
    subject = Subject(Work(nn.Sequential(nn.Linear(8, 8)).eval()), inputs[:1], samples=inputs, **options)
    return best_runtime(subject, TORCH, seconds=300)


def left_out(best: Best, name: str) -> str:
    return next(tried.left_out for tried in best.tried if tried.runtime == name)


@pytest.fixture(scope="module")
def found(study) -> Best:
    return study.best_runtime(study.trial(1), budget="20 s")


def test_every_runtime_is_told_of_with_an_interval_or_a_reason(found):
    assert {tried.runtime for tried in found.tried} == set(RUNTIMES)
    assert found.tried[0].runtime == "onnxruntime"
    for tried in found.tried[1:]:
        assert bool(tried.left_out) == (tried.latency is None) == (tried.speedup is None)
        if tried.speedup:
            assert tried.speedup.low <= tried.speedup.value <= tried.speedup.high
            assert tried.size_bytes > 0
            assert tried.preparing > 0


def test_what_was_tried_answers_as_the_trials_own_file(study):
    for tried in study.best_runtime(0, budget="20 s").tried[1:]:
        assert bool(tried.agreement) == bool(tried.latency)
        if tried.agreement:
            assert tried.agreement.same == 1.0
            assert tried.agreement.samples == 256
            assert "the same answer on 100.0% of 256 samples" in tried.sentence()


@pytest.mark.parametrize(
    ("bend", "task", "reason"),
    [
        (lambda outputs: outputs[:, ::-1], TASKS["classification"], "It gives the same answer on "),
        (lambda outputs: outputs * 1.2, None, "Its outputs are 20.0% off on 64 samples, and more than 10% is another"),
        (lambda outputs: outputs * np.nan, TASKS["classification"], "Its outputs are NaN or infinite."),
        (lambda outputs: outputs[:, :4], None, "Its outputs have another shape: [64, 4] instead of [64, 8]."),
        (surprise, None, "Something unexpected went wrong: RuntimeError: a surprise"),
    ],
    ids=["other classes", "other figures", "NaN", "another shape", "an error"],
)
def test_a_runtime_that_answers_otherwise_or_fails_is_left_out_and_the_others_go_on(bend, task, reason, monkeypatch):
    best = race(monkeypatch, Bent(bend), RUNTIMES["onnxruntime"], task=task)
    assert left_out(best, "bent").startswith(reason)
    assert best.winner in ("torch", "onnxruntime")
    assert next(tried for tried in best.tried if tried.runtime == "onnxruntime").latency


def test_a_runtime_that_differs_within_the_tolerance_is_timed_and_tells_by_how_much(monkeypatch):
    best = race(monkeypatch, Bent(lambda outputs: outputs * 1.05))
    assert not left_out(best, "bent")
    assert "outputs 5.00% off on 64 samples" in best.tried[1].sentence()


def test_a_runtime_that_fails_only_later_is_left_out_as_well(monkeypatch):
    calls = iter(range(10_000))
    best = race(monkeypatch, Bent(lambda outputs: outputs if next(calls) < 40 else surprise(outputs)))
    assert "RuntimeError: a surprise" in left_out(best, "bent")
    assert (best.winner, best.margin) == ("torch", None)


def test_a_first_one_that_fails_is_a_refusal_with_the_reason():
    subject = Subject(Work(nn.Sequential(nn.Linear(8, 8)).eval()), np.zeros((1, 8), np.float32))
    with pytest.raises(WorkbenchError, match=r"Bent can't run it\. Something unexpected went wrong: RuntimeError"):
        best_runtime(subject, Bent(surprise))


def test_it_stops_when_asked():
    def stop(**facts) -> None:
        raise Cancelled

    subject = Subject(Work(nn.Sequential(nn.Linear(8, 8)).eval()), np.ones((1, 8), np.float32))
    with pytest.raises(Cancelled):
        best_runtime(subject, TORCH, report=stop)


def test_the_winners_file_is_kept_unless_it_is_the_trials_own(monkeypatch, tmp_path):
    monkeypatch.setattr("workbench.best.RUNTIMES", {})
    subject = Subject(Work(nn.Sequential(nn.Linear(8, 8)).eval()), np.ones((1, 8), np.float32))
    best_runtime(subject, TORCH, keep=tmp_path / "kept")
    assert [file.name for file in (tmp_path / "kept").iterdir()] == ["torch.pt2"]
    own = replace(subject, artifact=tmp_path / "kept" / "torch.pt2", own=TORCH)
    best_runtime(own, TORCH, keep=tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(("off", "refused"), [(5, False), (6, True)])
def test_of_256_answers_five_may_differ(off, refused):
    expected = np.eye(10, dtype=np.float32)[np.arange(256) % 10]
    outputs = expected.copy()
    outputs[:off] = outputs[:off, ::-1]
    assert bool(Agreement.of(outputs, expected, TASKS["classification"]).refusal()) == refused


def test_what_has_no_kernels_for_the_integers_of_a_trial_is_passed_over(found):
    for name in ("torch", "sparse", "inductor"):
        left_out = next(tried.left_out for tried in found.tried if tried.runtime == name)
        assert left_out.startswith("It has no kernels for the integers of this trial (static, 8 bits)")


def test_what_takes_longer_than_the_budget_is_left_out_as_an_estimate(study, monkeypatch, tmp_path):
    monkeypatch.setattr("torch._inductor.runtime.cache_dir_utils.default_cache_dir", lambda: str(tmp_path))
    (tmp_path / "precompiled_headers").mkdir()
    (tmp_path / "precompiled_headers" / "of_another_torch.h.gch").touch()
    monkeypatch.setattr("workbench.best.RUNTIMES", {name: RUNTIMES[name] for name in ("onnxruntime", "inductor")})
    found = study.best_runtime(0, budget="20 s")
    compiled = next(tried for tried in found.tried if tried.runtime == "inductor")
    assert "Preparing it takes about 65 s (an estimate)" in compiled.left_out
    assert "of the budget were left. Give a larger budget." in compiled.left_out


def test_what_compiles_is_tried_within_the_usual_budget(monkeypatch):
    monkeypatch.setattr("workbench.best.RUNTIMES", {name: RUNTIMES[name] for name in ("torch", "inductor")})
    best = best_runtime(Subject(Work(nn.Sequential(nn.Linear(8, 8)).eval()), np.zeros((2, 8), np.float32)), TORCH)
    compiled = next(tried for tried in best.tried if tried.runtime == "inductor")
    assert compiled.speedup and compiled.preparing < 120


def test_the_usual_budget_is_enough_for_all():
    usual = inspect.signature(Study.best_runtime).parameters["budget"].default
    others = sum(r.preparing_seconds + 4.0 for r in RUNTIMES.values() if r.name != "onnxruntime")  # prepared, and timed
    assert others + Inductor.headers_seconds <= Budget.of(usual).seconds


def test_the_winner_is_timed_against_the_runner_up_and_told_in_words(study):
    found = study.best_runtime(0, budget="20 s")
    assert found.winner in RUNTIMES
    assert found.margin.value >= 1
    said = found.sentences()
    assert said[0].startswith(f"Best here with 1 thread and batch 1: {RUNTIMES[found.winner].title}.")
    assert any(line.startswith("PyTorch Inductor (compiled) is left out: ") for line in said)


@pytest.mark.parametrize(
    ("low", "words"), [(1.2, "It is 1.50x [1.20, 1.80] the speed of b"), (0.9, "It and b can't be told apart")]
)
def test_a_margin_within_the_noise_is_not_called_faster(low, words):
    one = Estimate(value=1.0, low=1.0, high=1.0)
    tried = [Tried("b", latency=one), Tried("a", latency=one, speedup=Estimate(value=1.5, low=low, high=1.8))]
    best = Best(tried, "a", Estimate(value=1.5, low=low, high=1.8), 1, 1, Machine())
    assert words in best.sentences()[0]


def test_a_module_is_raced_as_well(monkeypatch):
    monkeypatch.setattr("workbench.best.RUNTIMES", {name: RUNTIMES[name] for name in ("torch", "onnxruntime")})
    torch.manual_seed(0)
    subject = Subject(Work(nn.Sequential(nn.Flatten(), nn.Linear(64, 8)).eval()), np.zeros((4, 1, 8, 8), np.float32))
    shares = []
    best = best_runtime(subject, RUNTIMES["torch"], seconds=10, report=lambda **facts: shares.append(facts["share"]))
    assert {tried.runtime for tried in best.tried if tried.latency} == {"torch", "onnxruntime"}
    assert best.batch == 4
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_a_model_that_one_runtime_cannot_export_is_left_out_with_the_reason(monkeypatch):
    class Odd(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.linalg.eigvals(x.flatten(1)[:, :4].reshape(-1, 2, 2)).real

    monkeypatch.setattr("workbench.best.RUNTIMES", {name: RUNTIMES[name] for name in ("torch", "onnxruntime")})
    best = best_runtime(Subject(Work(Odd()), np.ones((2, 1, 8, 8), np.float32)), RUNTIMES["torch"], seconds=60)
    left = next(tried for tried in best.tried if tried.runtime == "onnxruntime")
    assert "could not be exported for 'onnxruntime'" in left.left_out
    assert (best.winner, best.margin) == ("torch", None)
    assert best.choice().endswith(": PyTorch (eager). No other could be timed.")


@pytest.mark.parametrize("budget", ["30 trials", "soon"])
def test_a_budget_that_is_no_time_is_refused(budget, study):
    with pytest.raises(WorkbenchError):
        study.best_runtime(0, budget=budget)


def test_a_trial_that_failed_or_is_simulated_has_no_best_runtime(study, digits, tmp_path):
    with pytest.raises(WorkbenchError, match="Trial 2 has no artifact"):
        study.best_runtime(2)
    own = Study("lenet5", digits, path=tmp_path / "study")
    simulated = own.run(Recipe([Quantize(weight_bits=4, simulate=True)]))
    with pytest.raises(WorkbenchError, match="is simulated"):
        own.best_runtime(simulated)
