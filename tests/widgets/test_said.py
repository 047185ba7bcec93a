"""What the engine says, in Chinese: the very sentences that it makes, with their figures as they are."""

import io
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from widgets.result import ResultCard
from widgets.said import said
from widgets.texts import speak
from workbench import Distill, Finetune, Half, Metrics, Prune, Quantize, Recipe, ShareWeights, Study, WorkbenchError
from workbench.agreement import Agreement
from workbench.best import Best, Tried
from workbench.causes.base import Case
from workbench.causes.limits import above_roofline, bounds, less_efficient, poor_kernels, slowest_layers, small_layers
from workbench.crossover import Crossover, Shape, answer
from workbench.disk import REFUSED as REFUSED_BY_DISK
from workbench.disk import writing
from workbench.energy import Energy
from workbench.estimates import Estimate, Score, share_of
from workbench.evaluation import TASKS, Errors, Prediction, Quality
from workbench.latency import Calls
from workbench.layers import Layer
from workbench.machine import Machine
from workbench.memory import HINT, enough_memory
from workbench.metrics import Conditions, Parity
from workbench.own import read_data, read_weights
from workbench.prediction.calibration import FIGURES, Calibration
from workbench.process_cost import ProcessCost
from workbench.profiling import Operation
from workbench.roofline import Roofline
from workbench.rules import RULES, meaning_of
from workbench.runtimes import RUNTIMES
from workbench.search.goals import Goal
from workbench.search.outcome import Outcome
from workbench.search.rungs import Rung
from workbench.steps.base import Work
from workbench.thread_grid import Cell, Grid, Lead
from workbench.why import headline_of

DISTURBED = ["other programs took 61% of its processors", "its clock fell from 3100 to 1900 MHz"]
ONE = Estimate(value=1.5, low=1.25, high=1.75)


@pytest.fixture(autouse=True)
def _chinese() -> Iterator[None]:
    speak("zh")
    yield
    speak("en")


def is_chinese(words: str) -> bool:
    return any("\u4e00" <= sign <= "\u9fff" for sign in words)


def left_over(sentence: str, *names: str) -> list[str]:
    """The English words that are left in what is shown of a sentence, but for names."""
    return [word for word in re.findall(r"(?<![A-Za-z])[a-z]{3,}", said(sentence)) if word not in names]


def figures(sentence: str) -> set[str]:
    return set(re.findall(r"\d[\d.,]*\d|\d", sentence))


def metrics(task: str = "classification", **facts: object) -> Metrics:
    """As measured of a trial, of which everything is known."""
    quality = {
        "classification": Quality.model_construct(top5=0.995, macro_f1=0.975, calibration_error=0.011),
        "regression": Errors.model_construct(mae=0.25, rmse=0.5, bias=0.125),
        "language": Prediction.model_construct(bits=3.25, top1=0.375, tokens=12_345),
    }[task]
    score = {
        "classification": Score(**share_of(970, 1_000).model_dump()),
        "regression": Score(value=0.9, low=0.8, high=0.95, name="R²", unit=""),
        "language": Score(value=9.5, low=9.0, high=10.0, name="perplexity", unit="", better=-1),
    }[task]
    where = {"runtime": "torch", "version": "1", "device": "cpu", "processor": "a", "threads": 1, "batch": 1}
    known = {"split": "validation", "samples": 1_000, "task": task, "score": score, "fixed": 2, "broken": 12}
    known |= {"score_p": 0.01, "gain": -0.1, "quality": quality, "size_bytes": 250_000, "theoretical_bytes": 240_000}
    known |= {"latency": ONE, "baseline_latency": ONE, "speedup": ONE, "cpu_speedup": ONE, "macs": 1, "parameters": 1}
    known["conditions"] = Conditions(
        **where,
        blocks=40,
        noise=0.31,
        drift=0.12,
        machine=Machine(others=0.61, stolen=0.22, fastest_clock=3_100, slowest_clock=1_900, slowed=0.3),
    )
    known["calls"] = Calls(p50=2.0, p95=3.0, p99=5.0, count=1_234)
    known["process"] = ProcessCost(
        cold_start=ONE, import_ms=80, peak_bytes=70_000_000, runtime_bytes=60_000_000, starts=3
    )
    known["energy"] = Energy(millijoules=0.0123, measured=False, source="a model of 45 nm hardware (Horowitz 2014)")
    known |= {"nonzero_parameters": 1, "parity": Parity(samples=256, largest_difference=0.1, same_answers=0.996)}
    return Metrics(**(known | facts))


def test_english_is_as_the_engine_says_it():
    speak("en")
    for sentence in metrics().sentences(metrics()):
        assert said(sentence) == sentence


@pytest.mark.parametrize("words", ["", "?", "conv1", "Something. Else entirely", "failed", "Nobody said {this}."])
def test_what_nobody_translated_comes_back_as_it_was(words: str):
    assert said(words) == words


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"fixed": 3, "broken": 3, "gain": 0.0, "score_p": 1.0, "speedup": Estimate(value=0.5, low=0.4, high=0.6)},
        {
            "fixed": 12,
            "broken": 2,
            "gain": 0.1,
            "speedup": Estimate(value=1.0, low=0.9, high=1.1),
            "size_bytes": 999_999,
        },
        {
            "unmeasured": [
                "Cold start and memory were not measured. A fresh process did not run a.onnx within 60 seconds."
            ]
        },
        {
            "energy": Energy(
                millijoules=1.5,
                measured=True,
                source="the counters of the whole processors, idle power and other programs included (RAPL)",
            ),
            "latency": None,
        },
        {"parity": Parity(samples=256, largest_difference=0.0, same_answers=1.0)},
        {"process": None, "calls": None},
    ],
)
def test_every_sentence_of_a_trial_is_chinese_with_its_figures(task: str, more: dict):
    trial, baseline = metrics(task, **more), metrics(task, size_bytes=1_000_000)
    for sentence in trial.sentences(baseline):
        assert left_over(sentence, "onnx") == [], said(sentence)
        assert figures(sentence) <= figures(said(sentence))


def test_the_quality_of_few_classes_is_chinese_too():
    few = Quality.model_construct(top5=None, macro_f1=0.975, calibration_error=0.011)
    assert left_over(few.sentence(few)) == []


def test_a_sentence_reads_as_chinese_does():
    told = said("The file has 250.0 kB against 1.00 MB: 4.0 times smaller.")
    assert re.split("[\uff0c\uff1a]", told) == ["文件大小 250.0 kB", "原为 1.00 MB", "缩小到 1/4.0。"]


def test_the_sentences_of_real_trials_are_chinese(study: Study):
    for trial in (study.baseline, study.trial(1)):
        for sentence in [*trial.sentences(), *study.compare(0, trial.number).sentences()]:
            assert left_over(sentence, "conv") == [], said(sentence)
            assert figures(sentence) <= figures(said(sentence))
    assert all(is_chinese(said(study.trial(number).reason)) for number in (2, 3))


def test_why_a_real_trial_is_not_faster_is_chinese(study: Study):
    for sentence in study.trial(1).why().sentences():
        assert left_over(sentence, "conv", "onnxruntime") == [], said(sentence)


def layer(name: str, milliseconds: float, macs: int, size: int = 1) -> Layer:
    return Layer(name, "Linear", (size, size), (size,), (size,), size, None, 0.0, 32, macs, milliseconds)


@pytest.mark.parametrize(
    "layers",
    [
        [layer("a", 2.0, 1_000_000), layer("b", 1.0, 1, 1_000), layer("c", 3.0, 1)],
        [*(layer(name, 2.0, 1_000_000) for name in "abcd"), layer("e", 1.0, 1, 2_000), layer("f", 0.002, 1)],
        [layer("a", 0.5, 1_000_000), layer("b", 0.4, 1), layer("c", 0.4, 1)],
        [layer("a", 2.0, 1), layer("b", 0.004, 1), layer("c", 0.3, 1)],
        [layer(name, 0.002, 1) for name in "abcd"],
        [layer(name, 2.0, 1) for name in "abcd"],
    ],
)
def test_what_the_roofline_tells_is_chinese(layers: list[Layer]):
    facts = {"runtime": "onnxruntime", "version": "1", "processor": "p", "threads": 1, "measured": date(2026, 1, 1)}
    roof = Roofline(**facts, peaks={"float": 1e9}, bandwidths={1: 1e10}, overhead=1e-6, disturbed=DISTURBED)
    operations = [Operation(layer.name, "MatMul", layer.name, layer.milliseconds or 0.0) for layer in layers]
    trial = SimpleNamespace(study=SimpleNamespace(batch=1))
    quick = [replace(layer, milliseconds=0.001) for layer in layers]
    case = Case(trial, layers, operations, roof, Case(trial, quick, operations, roof))
    rules = (bounds, slowest_layers, poor_kernels, less_efficient, above_roofline, small_layers)
    causes = [cause for rule in rules if (cause := rule(case))]
    assert causes
    for sentence in [*(cause.sentence for cause in causes), f"This machine at best: {roof}."]:
        assert left_over(sentence, "onnxruntime") == [], said(sentence)
        assert figures(sentence) <= figures(said(sentence))


@pytest.mark.parametrize("which", ["conv1, whose", "16 layers whose"])
def test_odd_channels_are_chinese(which: str):
    does = "they do" if "layers" in which else "it does"
    sentence = (
        f"81% of the time is in {which} channels (13, 26) waste part of each vector: timed alone with 16, 32, {does} "
        "1.50 times the arithmetic in 0.85 [0.66 to 1.06] of the time."
    )
    assert left_over(sentence, "conv") == [], said(sentence)
    assert figures(sentence) <= figures(said(sentence))


LEFT_OUT = [
    *(Agreement.of(bent, np.ones((4, 2), np.float32)).refusal() for bent in (np.full((4, 2), v) for v in (2, np.nan))),
    Agreement.of(np.ones((4, 3)), np.ones((4, 2))).refusal(),
    Agreement(256, 0.5, 0.5).refusal(),
    "Something unexpected went wrong: RuntimeError: a surprise",
]


@pytest.mark.parametrize("margin", [None, ONE, Estimate(value=1.0, low=0.9, high=1.1)])
def test_the_choice_of_a_runtime_is_chinese(margin: Estimate | None):
    tried = [Tried("onnxruntime", "1", ONE), Tried("torch", "2", ONE, ONE, agreement=Agreement(256, 0.996, 0.1))]
    tried += [Tried("inductor", left_out=reason) for reason in LEFT_OUT]
    best = Best(tried, "torch", margin, 2, 1, Machine(others=0.5), "" if margin else "The machine ran out of memory.")
    answer = best.answer()
    for told in [*answer.sentences, *(row[name] for row in answer.table for name in ("speed", "answers"))]:
        assert left_over(told, "eager", "compiled", "surprise") == [], said(told)
        assert figures(told) <= figures(said(told))


@pytest.mark.parametrize("ratio", [None, ONE, Estimate(value=1.0, low=0.9, high=1.1)])
def test_threads_and_inputs_at_once_are_chinese(ratio: Estimate | None):
    busy = Machine(others=0.5, stolen=0.2)
    cells = [Cell(1, 1, ONE, ONE, busy), Cell(2, 16, ONE, ONE)]
    lead = Lead(cells[0], cells[1], ratio, busy) if ratio else Lead(cells[1])
    for told in Grid(cells, lead, lead, runtime="PyTorch (eager)").answer().sentences:
        assert left_over(told, "eager") == [], said(told)
        assert figures(told) <= figures(said(told))
    assert left_over("2 threads, batch 16") == []
    assert left_over(Best([Tried("torch", "2", ONE)], "torch", None, 1, 1, busy).choice(), "eager") == []


@pytest.mark.parametrize(
    "speed", [Estimate(value=2.0, low=1.9, high=2.1), Estimate(value=0.5, low=0.4, high=0.6), None]
)
def test_from_how_many_zeros_on_it_pays_is_chinese(speed: Estimate | None):
    shapes = [Shape((8, 8), (8,)), Shape((8, 8, 3, 3), (8, 4, 4), block=4)] if speed else []
    answered = answer([Crossover(shape, 1, 1, ((0.9, speed),)) for shape in shapes])  # type: ignore[arg-type]
    for told in [*answered.sentences, *(row["layer"] for row in answered.table)]:
        assert left_over(told) == [], said(told)
        assert figures(told) <= figures(said(told))


def test_why_a_runtime_was_left_out_of_a_real_choice_is_chinese(study: Study):
    for sentence in study.best_runtime(1, "20 s").answer().sentences:
        names = ("eager", "compiled", "sparse", "where", "faster", "pip", "install", "openvino", "executorch", "static")
        assert left_over(sentence, *names) == [], said(sentence)


@pytest.mark.parametrize("speed", [None, (1.4, 1.5, 1.6), (0.9, 1.0, 1.1), (0.4, 0.5, 0.6)])
@pytest.mark.parametrize("less", [1, 4])
def test_the_headline_of_why_is_chinese(monkeypatch: pytest.MonkeyPatch, speed: tuple | None, less: int):
    layer = SimpleNamespace(macs=less, bits=32, zeros=0.0)
    monkeypatch.setattr("workbench.why.layers_of", lambda trial: [layer])
    speedup = speed and Estimate(low=speed[0], value=speed[1], high=speed[2])
    trial = SimpleNamespace(metrics=metrics(speedup=speedup), recipe=[1], study=SimpleNamespace(baseline=None))
    sentence = headline_of(trial, [SimpleNamespace(macs=1, bits=32, zeros=0.0)])
    assert left_over(sentence) == []
    assert figures(sentence) <= figures(said(sentence))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.first}-{rule.later}")
def test_every_rule_of_the_order_is_chinese(rule):
    if rule.hint:
        assert is_chinese(said(rule.hint))
    told = f"Half can't follow Prune: {rule.says}" if rule.hint else rule.says.format(first="Distill", later="Finetune")
    assert left_over(told) == []


@pytest.mark.parametrize("steps", [[Prune(), Quantize(), Finetune()], [Distill(), Quantize(), Prune()]])
def test_what_an_order_means_is_chinese(steps: list):
    assert meaning_of(steps)
    assert all(is_chinese(said(sentence)) and left_over(sentence) == [] for sentence in meaning_of(steps))


def npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


class Branches(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1) if x.mean() > 0 else -x.flatten(1)


def export(runtime: str, module: nn.Module) -> None:
    inputs = np.zeros((2, 1, 8, 8), np.float32)
    RUNTIMES[runtime].export(Work(module), inputs, inputs, Path("never-written"))


def short(doing: str, hint: str) -> None:
    with enough_memory(doing, hint):
        torch.empty(2**50)


def refuse(number: int) -> None:
    with writing("here"):
        raise OSError(number, "?")


def load(runtime: str, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model")
        path.write_bytes(content)
        RUNTIMES[runtime].load(path)


def no_compiler() -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("CXX", "no-such-compiler")
        RUNTIMES["inductor"].check_export()


REFUSED: list[Callable[[], object]] = [
    lambda: Recipe([Quantize(), Quantize()]),
    lambda: Recipe([Half(), Prune()]),
    lambda: Recipe([Prune(), Distill(student="lenet300")]),
    lambda: Recipe([ShareWeights(), Quantize()]),
    lambda: Prune(ratio=2),
    lambda: Prune(ratio=-1),
    lambda: Prune(importance="l3"),
    lambda: Prune(ratoi=0.5),
    lambda: Prune(granularity="weight", importance="bn"),
    lambda: Quantize(layers={"conv1": 17}),
    lambda: Quantize(average_bits=4, byte_budget=10_000),
    lambda: Study("lenet4", "mnist"),
    lambda: Study("lenet5", "minst"),
    lambda: Study("lenet300", "cifar10"),
    lambda: RUNTIMES["onnxruntime"].check(Quantize(weight_bits=3)),
    lambda: RUNTIMES["torch"].check(Quantize()),
    *([] if torch.cuda.is_available() else [lambda: RUNTIMES["torch"].check(device="cuda")]),
    lambda: RUNTIMES["sparse"].check(device="cuda"),
    lambda: short("training with batches of 64 samples", "Use a smaller batch_size, now 64, or another device."),
    lambda: short("doing Prune", HINT),
    *(lambda number=number: refuse(number) for number in REFUSED_BY_DISK),
    no_compiler,
    lambda: RUNTIMES["torch"].load(Path("none")),
    lambda: load("torch", b"\x08\x0a\x12\x07pytorch"),
    lambda: load("onnxruntime", b"\x08\x63\x12\x07pytorch"),
    lambda: load("onnxruntime", b"\x80\x04."),
    lambda: load("onnxruntime", b"\xff\xff"),
    lambda: export("torch", Branches()),
    lambda: export("torch", nn.Sequential(nn.Flatten(), nn.Linear(3, 3))),
    lambda: export("onnxruntime", nn.Sequential(nn.AdaptiveMaxPool2d(3), nn.Flatten())),
    lambda: read_data("half.txt", b"x"),
    lambda: read_data("half.npz", b"x"),
    lambda: read_data("half.npz", npz(inputs=np.zeros((9, 4)), labels=np.zeros(8, int))),
    lambda: read_data("half.npz", npz(pictures=np.zeros((9, 4)))),
    lambda: read_data("half.npz", npz(inputs=np.array([{}]), labels=np.zeros(1))),
    lambda: read_weights("half.pth", b"x", "lenet5", None),
    lambda: read_weights("half.safetensors", b"x", "lenet5", None),
]


@pytest.mark.parametrize("refused", REFUSED)
def test_a_refusal_and_what_to_do_instead_are_chinese(refused: Callable[[], object]):
    with pytest.raises(WorkbenchError) as refusal:
        refused()
    error = refusal.value
    assert is_chinese(said(error.message)), error
    assert is_chinese(said(error.hint)), error
    assert said(str(error)) == said(error.message) + said(error.hint)
    assert figures(str(error)) <= figures(said(str(error)))


def test_what_a_search_found_is_chinese(study: Study):
    rungs = [Rung(epochs=1, recipes=3, promoted=1), Rung(epochs=2, recipes=1, promoted=0)]
    for limits in ({"accuracy_drop": 0.5, "size_bytes": 1e6}, {"accuracy_drop": 0.0, "size_bytes": 10}, {}):
        goal = Goal.of(["accuracy", "size_bytes", "latency"], limits, study.baseline.metrics)
        found = Outcome(study, goal, ended="The search ended as its 30 trials were spent.", rungs=rungs)
        for sentence in found.sentences():
            assert is_chinese(said(sentence))
            assert left_over(re.sub(r"by [A-Z].*\)\.", "by P().", sentence)) == [], said(sentence)


def test_how_well_trials_were_foreseen_is_chinese():
    for name in FIGURES:
        assert left_over(Calibration(name, [1, 2], [ONE, ONE], [1.6, 2.0]).sentence()) == []


def test_names_are_never_translated():
    assert said("There is no model called 'failed'.") == "没有名为“failed”的模型。"
    assert said("Left whole, as attention counts on their width: head, block.").endswith("head, block。")


def test_of_several_sentences_each_is_told_that_is_known():
    told = said("Nobody knows. This model has no channels to prune. Remove this step.")
    assert told == "Nobody knows. 此模型没有可剪枝的通道。请移除此步骤。"


def test_the_card_of_a_trial_is_chinese_on_a_chinese_page(study: Study):
    shown = ResultCard(study.trial(1)).value
    assert "文件大小" in shown
    assert "The file has" not in shown
    assert "取消" in ResultCard(study.trial(3)).value
