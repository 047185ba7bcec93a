"""What was measured of one artifact, and what it means in words."""

from pydantic import BaseModel, ConfigDict

from workbench.estimates import CONFIDENCE, Estimate

NOISY = 0.15


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


class Parity(BaseModel):
    """The artifact against the module it was exported from, on the same inputs."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")
    samples: int
    largest_difference: float
    """Largest absolute difference of an output (in logits)."""
    same_answers: float
    """Share of samples with the same top class."""


class Metrics(BaseModel):
    """Measured facts of one artifact. Latency in milliseconds; accuracy a share in [0, 1]; sizes in bytes."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")
    split: str
    samples: int
    accuracy: Estimate
    fixed: int = 0
    """Samples that the baseline had wrong and this artifact has right."""
    broken: int = 0
    """The other way round."""
    accuracy_p: float = 1.0
    """Exact McNemar p-value of the change against the baseline."""
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
    macs: int
    parameters: int
    nonzero_parameters: int
    parity: Parity
    simulated: list[str] = []
    """What no kernel computes with, and why: one sentence for each."""

    @property
    def verdict(self) -> str:
        """``faster``, ``slower`` or ``no measurable change``; ``simulated`` where no kernel computes with it."""
        if self.simulated:
            return "simulated"
        if self.speedup is None:
            return "not measured"
        if self.speedup.low > 1:
            return "faster"
        return "slower" if self.speedup.high < 1 else "no measurable change"

    @property
    def accuracy_verdict(self) -> str:
        """``better``, ``worse`` or ``no evidence of a change``, by McNemar's test at 5 %."""
        if self.accuracy_p >= 1 - CONFIDENCE:
            return "no evidence of a change"
        return "better" if self.fixed > self.broken else "worse"

    def sentences(self, baseline: "Metrics") -> list[str]:
        """The figures against the baseline's, each in one plain sentence."""
        change = 100 * (self.accuracy.value - baseline.accuracy.value)
        ratio = baseline.size_bytes / self.size_bytes
        said = [
            f"Accuracy {self.accuracy.value:.2%} against {baseline.accuracy.value:.2%} ({change:+.2f} points): "
            f"{self.accuracy_verdict}; it fixes {self.fixed} and breaks {self.broken} of {self.samples:,} samples.",
            f"The file has {bytes_text(self.size_bytes)} against {bytes_text(baseline.size_bytes)}: "
            + (f"{ratio:.1f} times smaller." if ratio >= 1.05 else f"{1 / ratio:.2f} of the size."),
        ]
        if self.speedup and self.latency and self.baseline_latency and self.conditions:
            s, where = self.speedup, self.conditions
            said.append(
                f"{self.latency.value:.3g} ms against {self.baseline_latency.value:.3g} ms "
                f"for {_many(where.batch, 'input')} on {_many(where.threads, 'thread')}: {self._speed(s)} "
                f"[{s.low:.2f}x to {s.high:.2f}x]."
            )
            if where.noise > NOISY and self.cpu_speedup:
                c = self.cpu_speedup
                said.append(
                    f"The machine was noisy while this was timed; in processor time it is {c.value:.2f}x "
                    f"[{c.low:.2f}x to {c.high:.2f}x]."
                )
        said += [f"Simulated: {why} Its speed is not claimed." for why in self.simulated]
        same = self.parity
        alike = "answers as the model it was made from" + (" (quantized)" if same.same_answers < 1 else "")
        said.append(f"The file {alike} on {same.same_answers:.1%} of {same.samples} samples.")
        return said

    def _speed(self, speedup: Estimate) -> str:
        if self.verdict == "faster":
            return f"{speedup.value:.2f}x faster"
        if self.verdict == "slower":
            return f"slower, at {speedup.value:.2f}x the baseline's speed"
        return f"no measurable change in speed ({speedup.value:.2f}x)"


def bytes_text(count: float) -> str:
    """A number of bytes for people: ``1.7 MB``."""
    for unit in ("B", "kB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} MB"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("s" if count != 1 else "")
