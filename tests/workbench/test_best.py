"""The best runtime is chosen by measurement, and what was left out is said with its reason."""

import inspect

import numpy as np
import pytest
import torch
from torch import nn

from workbench import Quantize, Recipe, Study, WorkbenchError
from workbench.best import Best, Tried, best_runtime
from workbench.candidates import Subject
from workbench.estimates import Estimate
from workbench.machine import Machine
from workbench.runtimes import RUNTIMES
from workbench.runtimes.inductor import Inductor
from workbench.search.budget import Budget
from workbench.steps.base import Work

TORCH = RUNTIMES["torch"]


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
    assert said[0].startswith(f"Best here with 1 thread and batch 1: {found.winner}.")
    assert any(line.startswith("inductor is left out: ") for line in said)


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
