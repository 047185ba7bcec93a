"""Models that are no classifiers have whole studies: a regression on real data, and a small language model."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_diabetes
from torch import Tensor, nn

from workbench import Dataset, Distill, Finetune, Prune, Quantize, Recipe, Study, WorkbenchError
from workbench.pair import Pair
from workbench.prediction.probes import probes_of
from workbench.questions import changes

# Lewis Carroll, Alice's Adventures in Wonderland, 1865: in the public domain.
ALICE = (
    "Alice was beginning to get very tired of sitting by her sister on the bank, and of having nothing to do: once or "
    "twice she had peeped into the book her sister was reading, but it had no pictures or conversations in it, and "
    "what is the use of a book, thought Alice, without pictures or conversations? So she was considering in her own "
    "mind, as well as she could, for the hot day made her feel very sleepy and stupid, whether the pleasure of making "
    "a daisy-chain would be worth the trouble of getting up and picking the daisies, when suddenly a White Rabbit with "
    "pink eyes ran close by her. There was nothing so very remarkable in that; nor did Alice think it so very much out "
    "of the way to hear the Rabbit say to itself, Oh dear! Oh dear! I shall be late! When she thought it over "
    "afterwards, it occurred to her that she ought to have wondered at this, but at the time it all seemed quite "
    "natural; but when the Rabbit actually took a watch out of its waistcoat-pocket, and looked at it, and then "
    "hurried on, Alice started to her feet, for it flashed across her mind that she had never before seen a rabbit "
    "with either a waistcoat-pocket, or a watch to take out of it, and burning with curiosity, she ran across the "
    "field after it, and fortunately was just in time to see it pop down a large rabbit-hole under the hedge."
)
LENGTH = 16
RECIPE = Recipe([Prune(ratio=0.25, importance="taylor"), Distill(epochs=2, learning_rate=0.003), Quantize()])


class Block(nn.Module):
    """A transformer block with one head, before whose parts a norm stands."""

    def __init__(self, width: int):
        super().__init__()
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (part(self.before(x)).unsqueeze(1) for part in (self.query, self.key, self.value))
        x = x + self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True).squeeze(1))
        return x + self.down(F.relu(self.up(self.between(x))))


class Writer(nn.Module):
    """A language model of one block: tokens (N, T) to logits (N, T, vocabulary)."""

    def __init__(self, vocabulary: int, width: int = 32):
        super().__init__()
        self.token = nn.Embedding(vocabulary, width)
        self.place = nn.Parameter(torch.randn(LENGTH, width) * 0.02)
        self.block, self.norm, self.head = Block(width), nn.LayerNorm(width), nn.Linear(width, vocabulary)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.norm(self.block(self.token(tokens) + self.place)))


def _learn(module: nn.Module, dataset: Dataset, steps: int, rate: float) -> nn.Module:
    from workbench.evaluation import task_of

    inputs, labels = (torch.from_numpy(part) for part in (dataset.train.inputs, dataset.train.labels))
    optimizer = torch.optim.Adam(module.parameters(), rate)
    for _ in range(steps):
        optimizer.zero_grad()
        task_of(dataset).loss(module(inputs), labels).backward()
        optimizer.step()
    return module


@pytest.fixture(scope="module")
def regression(tmp_path_factory) -> Study:
    """A perceptron on the diabetes data of Efron et al. 2004, with labels on a scale of one."""
    data = load_diabetes()
    order = np.random.default_rng(0).permutation(len(data.target))
    inputs, labels = 20 * data.data[order], (data.target[order] - 150) / 77
    parts = {"train": slice(0, 280), "validation": slice(280, 380), "test": slice(380, None)}
    splits = {name: (inputs[part], labels[part]) for name, part in parts.items()}
    dataset = Dataset(**splits, classes=["progression"], name="diabetes")
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
    study = Study(_learn(module, dataset, 15, 0.01), dataset, path=tmp_path_factory.mktemp("studies") / "regression")
    study.run(RECIPE)
    study.run(Recipe([Prune(ratio=0.9), Finetune(learning_rate=1e-5)]))
    return study


@pytest.fixture(scope="module")
def language(tmp_path_factory) -> Study:
    """A small transformer that foresees the letters of a page of Alice."""
    letters = sorted(set(ALICE))
    codes = np.array([letters.index(letter) for letter in ALICE])
    starts = np.arange(0, len(codes) - LENGTH - 1, 5)
    windows = codes[starts[:, None] + np.arange(LENGTH + 1)]
    held = len(windows) * 4 // 5
    inputs, labels = windows[:, :-1], windows[:, 1:]
    splits = {"train": (inputs[:held], labels[:held]), "validation": (inputs[held:], labels[held:])}
    dataset = Dataset(**splits, classes=letters, name="alice")
    torch.manual_seed(0)
    module = _learn(Writer(len(letters)), dataset, 60, 0.003)
    study = Study(module, dataset, path=tmp_path_factory.mktemp("studies") / "language")
    study.run(RECIPE)
    study.run(Recipe([Prune(ratio=0.9), Finetune(learning_rate=1e-5)]))
    return study


@pytest.fixture(params=["regression", "language"])
def study(request) -> Study:
    return request.getfixturevalue(request.param)


def test_a_recipe_of_every_kind_of_step_is_carried_out_and_measured(study):
    baseline, trial, broken = study.baseline.metrics, study.trial(1), study.trial(2)
    assert [t.state for t in study.trials] == ["complete"] * 3, [t.reason for t in study.trials]
    metrics = trial.metrics
    assert metrics.accuracy is None and metrics.task == study.dataset.task
    assert metrics.score.low <= metrics.score.value <= metrics.score.high
    assert metrics.size_bytes < baseline.size_bytes and metrics.parameters < baseline.parameters
    assert metrics.speedup is not None
    assert broken.metrics.score.utility < baseline.score.utility
    assert (broken.metrics.score_verdict, broken.metrics.gain < 0) == ("worse", True)
    assert study.baseline.metrics.parity.same_answers == 1


def test_scores_say_which_way_is_better(regression, language):
    assert (regression.baseline.metrics.score.name, regression.baseline.metrics.score.better) == ("R²", 1)
    assert 0.2 < regression.baseline.metrics.score.value < 1
    assert (language.baseline.metrics.score.name, language.baseline.metrics.score.better) == ("perplexity", -1)
    assert 1 < language.baseline.metrics.score.value < len(language.dataset.classes)


def test_its_sentences_speak_of_its_own_score(study):
    name = study.baseline.metrics.score.title
    for trial in study.trials:
        told = " ".join(trial.sentences())
        assert f"{name} " in told and "Accuracy" not in told
    assert name.lower() in repr(study.trial(1)).lower()


def test_a_quantized_file_answers_as_the_model_that_it_was_made_from(study):
    quantized = study.run(Recipe([Quantize()]))
    assert quantized.state == "complete", quantized.reason
    assert abs(quantized.metrics.score.utility - study.baseline.metrics.score.utility) < 0.2
    assert set(quantized.runtime.weight_bits(quantized.artifact).values()) == {8}


def test_what_is_stored_is_read_again(study):
    again = Study(study._model, study._dataset, path=study.path)
    assert [t.metrics for t in again.trials] == [t.metrics for t in study.trials]
    assert again.dataset.hash == study.dataset.hash


def test_the_front_goes_by_the_score_and_refuses_an_accuracy(study):
    front = study.pareto(["score", "size_bytes"])
    best = max((trial for trial in study.trials if trial.metrics), key=lambda trial: trial.metrics.score.utility)
    assert best.number in [trial.number for trial in front]
    with pytest.raises(WorkbenchError, match=r"No trial has the objective 'accuracy'\. Choose 'score'"):
        study.pareto(["accuracy", "size_bytes"])


def test_a_comparison_names_the_samples_whose_error_grew_most(study):
    comparison = study.compare(0, 2)
    assert comparison.agreement is None and comparison.classes == []
    assert comparison.verdict == "worse"
    _, labels, before, after = comparison.samples("broken")
    assert len(labels) == len(comparison.broken) == study.trial(2).metrics.broken
    if study.dataset.task == "regression":
        grown = np.abs(after - labels) - np.abs(before - labels)
        assert (grown > 0).all()
    told = " ".join(comparison.sentences())
    assert "The error grew most for sample" in told and "Class" not in told
    pair = Pair(study.trial(0), study.trial(2))
    assert pair.flips == (len(comparison.fixed), len(comparison.broken)) and pair.score_verdict == "worse"
    answer = changes(study.trial(2), None)
    assert answer.flips["broken"][0]["before"] and not answer.flips["otherwise"]


def test_the_report_speaks_of_the_score(study, tmp_path):
    page = study.report(tmp_path / "report.html").read_text(encoding="utf-8")
    score = study.baseline.metrics.score
    assert f"{score.title} against file size" in page
    assert ("lower is better" in page) == (score.better < 0)
    assert "accuracy" not in page.lower().replace("accuracy lost", "")


def test_what_only_a_classifier_has_is_refused(study):
    with pytest.raises(WorkbenchError, match="which only a classifier has"):
        study.sensitivity()
    refused = study.run(Recipe([Finetune(label_smoothing=0.1)]))
    assert refused.state == "failed" and "made for classifiers" in refused.reason
    prediction = study.predict(Recipe([Prune(ratio=0.5)]))
    assert prediction.accuracy is None and prediction.parameters < study.baseline.metrics.parameters


def test_hard_targets_need_answers_to_choose_from(regression, language):
    refused = regression.run(Recipe([Distill(targets="hard")]))
    assert refused.state == "failed" and "no answers that are surer" in refused.reason
    learned = language.run(Recipe([Distill(targets="hard", data="calibration")]))
    assert learned.state == "complete", learned.reason


def test_the_test_split_is_opened_by_the_score(regression):
    metrics = regression.test(regression.trial(1))
    assert (metrics.split, metrics.samples, metrics.score.name) == ("test", 62, "R²")


def test_a_search_goes_by_the_score(regression, monkeypatch):
    monkeypatch.setattr("workbench.search.preparing.TABLE_MOST", 5.0)  # seconds of timing narrower models
    outcome = regression.search(["score", "size_bytes"], {"score_drop": 0.5}, budget="2 trials")
    assert outcome.front
    with pytest.raises(WorkbenchError, match="doesn't measure accuracy"):
        regression.search(["accuracy"], budget="1 trials")
    with pytest.raises(WorkbenchError, match="Limit score_drop instead"):
        regression.search(["size_bytes"], {"score": 0.5}, budget="1 trials")


def test_a_look_predicts_what_has_no_classes_without_trying_it(language):
    recipe = Recipe([Prune(ratio=0.3)])
    assert language.predict(recipe, look=True).accuracy is None
    assert not probes_of(language).found


def test_a_snippet_takes_tokens_where_the_model_does(language, regression):
    assert f"np.zeros((1, {LENGTH}), np.int64)" in language.trial(1).snippet()
    assert "np.zeros((1, 10), np.float32)" in regression.trial(1).snippet()
    assert language.trial(1).metrics.process is not None, language.trial(1).metrics.unmeasured


def test_perplexity_is_that_of_the_module(language):
    split = language.dataset.validation
    with torch.no_grad():
        logits = language.module(torch.from_numpy(split.inputs))
    expected = math.exp(F.cross_entropy(logits.flatten(0, 1), torch.from_numpy(split.labels).flatten()))
    assert language.baseline.metrics.score.value == pytest.approx(expected, rel=1e-3)
