"""What was measured of one artifact, and what it means in words."""

from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

from workbench.energy import Energy
from workbench.estimates import CONFIDENCE, Estimate, Score
from workbench.evaluation import TASKS, Errors, Prediction, Quality
from workbench.latency import Calls
from workbench.machine import Machine
from workbench.process_cost import ProcessCost

NOISY = 0.15
DRIFTING = 0.05
RESOLUTION = 0.01  # one file, loaded twice, was seen to differ by up to about as much


class Conditions(BaseModel):
    """Under which a latency was taken: it is part of the figure."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")
    runtime: str
    version: str
    device: str
    processor: str
    threads: int
    batch: int
    blocks: int
    noise: float
    """Spread (interquartile range over median) of the baseline's block medians; above `NOISY` the machine was noisy."""
    drift: float = 0.0
    """How much the speed-up wandered during the measurement, as a share; its interval allows for as much again."""
    loads: int = 1
    """How often both files were loaded for it."""
    load_spread: float = 0.0
    """By what the speed-up differs from load to load, as a share (a standard deviation); its interval allows for it."""
    seconds: float = 0.0
    """How long the timing took."""
    precise: bool = True
    """Whether the interval became as narrow as was asked before the time was spent, what loads differ by left out."""
    cpu_share: float | None = None
    """Processor seconds in a second of the artifact's runs."""
    machine: Machine = Machine()
    """What else the machine did."""

    def disturbances(self) -> list[str]:
        """Why these figures are less sure than on a quiet machine, each as a clause."""
        said = self.machine.disturbances()
        if self.noise > NOISY:
            said.append(f"its own speed varied by {self.noise:.0%}")
        if self.drift > DRIFTING:
            said.append(f"the speed-up drifted by {self.drift:.0%}")
        return said


class Parity(BaseModel):
    """The artifact against the module it was exported from, on the same inputs."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")
    samples: int
    largest_difference: float
    """Largest absolute difference of an output (of a classifier in logits)."""
    same_answers: float
    """Share of samples with the same top class; of a regression, with numbers within 1 % of their spread; of a language
    model the share of tokens."""


class Metrics(BaseModel):
    """Measured facts of one artifact. Latency in milliseconds; accuracy a share in [0, 1]; sizes in bytes."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")
    split: str
    samples: int
    task: str = "classification"
    score: Score
    """How good it is by the measure of its task: accuracy, R², perplexity; says which way is better."""
    accuracy: Estimate | None = None
    """The score of a classifier; None for any other model."""
    fixed: int = 0
    """Samples that the baseline had wrong and this artifact has right; of no classifier, those with a smaller error."""
    broken: int = 0
    """The other way round."""
    gain: float | None = None
    """By how much the score is better than the baseline's, on the scale of its test."""
    score_p: float = Field(1.0, validation_alias=AliasChoices("score_p", "accuracy_p"))
    """P-value of the change against the baseline, on the same samples: McNemar's exact test for a classifier, else a
    permutation test of the errors."""
    quality: Quality | Errors | Prediction | None = None
    """Beyond the score. Of a classifier: top 5, F1, recall by class, calibration, confusion."""
    size_bytes: int
    theoretical_bytes: int
    """Parameters x bits: what an ideal file would take, for comparison only."""
    latency: Estimate | None = None
    baseline_latency: Estimate | None = None
    """Of the baseline, timed in the same loop."""
    speedup: Estimate | None = None
    """Baseline over this artifact, paired block by block; above 1 is faster."""
    cpu_speedup: Estimate | None = None
    """The same in processor time, which a noisy machine disturbs less."""
    conditions: Conditions | None = None
    calls: Calls | None = None
    """Single calls of this artifact."""
    process: ProcessCost | None = None
    """Of a fresh process that runs only this artifact."""
    energy: Energy | None = None
    """Of one input; says itself whether it was measured."""
    unmeasured: list[str] = []
    """What could not be measured, and why: one sentence for each."""
    macs: int
    parameters: int
    nonzero_parameters: int
    parity: Parity
    simulated: list[str] = []
    """What no kernel computes with, and why: one sentence for each."""

    @model_validator(mode="before")
    @classmethod
    def _accuracy_and_score(cls, given: Any) -> Any:
        """Of a classifier each is the other, as it was before there were other tasks."""
        if isinstance(given, dict):
            score, accuracy = given.get("score"), given.get("accuracy")
            if score is None and accuracy is not None:
                return given | {"score": Score(**dict(accuracy))}
            if accuracy is None and score is not None and given.get("task", "classification") == "classification":
                kept = ("value", "low", "high")
                return given | {"accuracy": Estimate(**{name: dict(score)[name] for name in kept})}
        return given

    def __repr__(self) -> str:
        speed = f", {self.speedup.value:.2f}x" if self.speedup else ""
        return f"Metrics({self.split}: {self.score.name} {self.score.text()}, {self.size_bytes:,} bytes{speed})"

    def _repr_html_(self) -> str:
        from workbench.cards import metrics_card

        return metrics_card(self)

    @property
    def verdict(self) -> str:
        """``faster``, ``slower`` or ``no measurable change``; ``simulated`` where no kernel computes with it."""
        if self.simulated:
            return "simulated"
        return speed_verdict(self.speedup) if self.speedup else "not measured"

    @property
    def throughput(self) -> Estimate | None:
        """Inputs in a second, one call after another."""
        if self.latency is None or self.conditions is None:
            return None
        inputs, each = 1e3 * self.conditions.batch, self.latency
        return Estimate(value=inputs / each.value, low=inputs / each.high, high=inputs / each.low)

    @property
    def score_verdict(self) -> str:
        """``better``, ``worse`` or ``no evidence of a change``, by its test at 5 %."""
        if self.score_p >= 1 - CONFIDENCE:
            return "no evidence of a change"
        return "better" if (self.fixed > self.broken if self.gain is None else self.gain > 0) else "worse"

    def sentences(self, baseline: "Metrics") -> list[str]:
        """The figures against the baseline's, each in one plain sentence: what matters most, then the rest."""
        return [*self.headlines(baseline), *self.details(baseline)]

    def headlines(self, baseline: "Metrics") -> list[str]:
        """The score, size and speed, and what makes one of them doubtful."""
        score, before = self.score, baseline.score
        ratio = baseline.size_bytes / self.size_bytes
        said = [
            f"{score.title} {score.text()} against {before.text()} ({score.change(before)}): {self.score_verdict}; "
            f"{TASKS[self.task].said((self.fixed, self.broken), self.samples)}.",
            f"The file has {bytes_text(self.size_bytes)} against {bytes_text(baseline.size_bytes)}: "
            + (f"{ratio:.1f} times smaller." if ratio >= 1.05 else f"{1 / ratio:.2f} of the size."),
        ]
        if self.speedup and self.latency and self.baseline_latency and self.conditions:
            s, where = self.speedup, self.conditions
            said.append(
                f"{self.latency.value:.3g} ms against {self.baseline_latency.value:.3g} ms "
                f"for {_many(where.batch, 'input')} on {_many(where.threads, 'thread')}, timed in turn: "
                f"{self._speed(s)} "
                f"[{s.low:.2f}x to {s.high:.2f}x]."
            )
            if (why := where.disturbances()) and self.cpu_speedup:
                cpu = self.cpu_speedup
                said.append(
                    f"The machine was noisy while this was timed ({'; '.join(why)}), which the intervals allow for; "
                    f"in processor time it is {cpu.value:.2f}x [{cpu.low:.2f}x to {cpu.high:.2f}x]."
                )
        said += [f"Simulated: {why} Its speed is not claimed." for why in self.simulated]
        return [*said, *self.unmeasured]

    def details(self, baseline: "Metrics") -> list[str]:
        """Quality beyond the score, single calls, memory, energy, and how the file agrees with its model.

        The baseline's own calls, start and memory stand beside them where they were taken under the same conditions.
        """
        said = []
        if (mine := self.quality) and (before := baseline.quality):
            said.append(mine.sentence(before))
        alike = self is not baseline and _alike(self.conditions, baseline.conditions)
        calls, process = (baseline.calls, baseline.process) if alike else (None, None)
        if (c := self.calls) and self.throughput:
            half, most, nearly = (_beside(c, calls, name, " ms") for name in ("p50", "p95", "p99"))
            each = self.baseline_latency  # timed in turn
            rate = f" against {_rate(1e3 * self.conditions.batch / each.value)}" if each and self.conditions else ""
            said.append(
                f"Of {_many(c.count, 'single call')}, half took up to {half}, 95 % up to {most} "
                f"and 99 % up to {nearly}; {_rate(self.throughput.value)}{rate} inputs in a second."
            )
        if (where := self.conditions) and self.speedup and where.loads > 1:
            said.append(
                f"Both files were loaded {_many(where.loads, 'time')} for the timing; from load to load the speed-up "
                f"differs by {where.load_spread:.1%}, which its interval allows for."
            )
        if p := self.process:
            start = f"{p.cold_start.value:.3g} ms" + (f" against {process.cold_start.value:.3g} ms" if process else "")
            peak = bytes_text(p.peak_bytes) + (f" against {bytes_text(process.peak_bytes)}" if process else "")
            said.append(
                f"A fresh process has its first answer {start} after the import of the runtime "
                f"(median of {_many(p.starts, 'start')}) and takes {peak} of memory at its peak, "
                f"{bytes_text(p.runtime_bytes)} of it before the file is loaded."
            )
        if (self.calls and calls) or (self.process and process):
            said.append("The baseline's calls, start and memory are those of when it was measured itself.")
        if e := self.energy:
            how = "" if e.measured else ": an estimate, not measured here"
            b = baseline.energy if self is not baseline else None
            was = f" against {b.millijoules:.3g} mJ" if b and (b.source, b.measured) == (e.source, e.measured) else ""
            said.append(f"One input takes {e.millijoules:.3g} mJ{was} by {e.source}{how}.")
        same = self.parity
        how = "answers as the model it was made from" + (" (quantized)" if same.same_answers < 1 else "")
        said.append(f"The file {how} on {same.same_answers:.1%} of {same.samples} samples.")
        return said

    def _speed(self, speedup: Estimate) -> str:
        if self.verdict == "faster":
            return f"{speedup.value:.2f}x faster"
        if self.verdict == "slower":
            return f"slower, at {speedup.value:.2f}x the baseline's speed"
        return f"no measurable change in speed ({speedup.value:.2f}x)"


def _alike(mine: Conditions | None, others: Conditions | None) -> bool:
    """Whether two artifacts were timed on the same kind of machine, in the same version, with the same settings."""
    keys = {"runtime", "version", "device", "processor", "threads", "batch"}
    return bool(mine and others) and mine.model_dump(include=keys) == others.model_dump(include=keys)  # type: ignore[union-attr]


def _beside(calls: Calls, others: Calls | None, name: str, unit: str) -> str:
    told = f"{getattr(calls, name):.3g}{unit}"
    return f"{told} against {getattr(others, name):.3g}{unit}" if others else told


def speed_verdict(speedup: Estimate) -> str:
    """``faster`` or ``slower`` only where the whole interval is, by 1 % at least; else ``no measurable change``."""
    if speedup.low > 1 + RESOLUTION:
        return "faster"
    return "slower" if speedup.high < 1 / (1 + RESOLUTION) else "no measurable change"


def bytes_text(count: float) -> str:
    """A number of bytes for people: ``1.7 MB``."""
    for unit in ("B", "kB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} MB"


def _rate(value: float) -> str:
    """Three digits, without an exponent."""
    return f"{float(f'{value:.3g}'):,.{0 if value >= 100 else 1}f}"


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("s" if count != 1 else "")
