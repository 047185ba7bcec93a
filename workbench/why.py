"""Why isn't it faster? Sentences, each from something that was measured."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from workbench.causes import RULES
from workbench.causes.base import Case, Cause
from workbench.errors import WorkbenchError
from workbench.layers import Layer, layers_of, profiled
from workbench.roofline import BOUNDS, Roofline, measured_again, roofline

if TYPE_CHECKING:
    from workbench.trial import Trial


@dataclass(frozen=True, eq=False)
class Why:
    """The answer for one trial."""

    case: Case
    headline: str
    causes: list[Cause]

    def sentences(self) -> list[str]:
        """The headline, the causes that concern most of the time first, and what it was held against."""
        return [self.headline, *(cause.sentence for cause in self.causes), f"This machine at best: {self.case.roof}."]

    def table(self) -> list[dict[str, str]]:
        """One row of texts for each layer: its time, what bounds it, and how near it comes to this machine's best."""
        case = self.case
        return [
            {
                "layer": layer.name or "(the model)",
                "ms": f"{layer.milliseconds:.3f}",
                "share": f"{case.share(layer):.0%}",
                "MACs": f"{layer.macs * case.batch:,}",
                "bound": BOUNDS[case.bound(layer)],
                "of the best": f"{case.reached(layer):.0%}",
            }
            for layer in case.layers
            if layer.milliseconds
        ]

    def __repr__(self) -> str:
        return "\n".join(self.sentences())


def why(trial: "Trial", refresh: bool = False) -> Why:
    """Find out, in some seconds, what keeps a trial from being faster.

    Parameters
    ----------
    trial : Trial
    refresh : bool
        Whether to measure this machine's roofline anew, whatever is known of it.
    """
    if trial.metrics is None or trial.artifact is None:
        raise WorkbenchError(f"Trial {trial.number} has no artifact: it {trial.state}.", "Choose a complete trial.")
    if trial.study.device != "cpu":
        raise WorkbenchError("The time of each layer is only measured on the CPU.", "Make a study with device='cpu'.")
    case = examine(trial, refresh)
    causes = [cause for rule in RULES if (cause := rule(case))]
    return Why(case, headline_of(trial, case.layers), sorted(causes, key=lambda cause: -cause.share))


def examine(trial: "Trial", refresh: bool = False) -> Case:
    """Time the operations of a trial and of its baseline, and set them against this machine.

    Where a layer is faster than this machine was measured to be, that is measured again.
    """
    study = trial.study
    roof = roofline(study.runtime, study.threads, refresh)
    cases = [_timed(one, roof) for one in (study.baseline, trial) if one is trial or len(trial.recipe)]
    if any(case.above for case in cases):
        roof = measured_again(roof, study.runtime, study.threads)
    *before, case = [replace(case, roof=roof) for case in cases]
    return replace(case, before=before[0]) if before else case


def _timed(trial: "Trial", roof: Roofline) -> Case:
    operations = profiled(trial)
    return Case(trial, layers_of(trial, operations), operations, roof)


def promise(before: list[Layer], after: list[Layer]) -> float:
    """How much less arithmetic there is: the ratio of sum(MACs x bits of a weight x share of weights that aren't 0)."""
    return _work(before) / _work(after)


def _work(layers: list[Layer]) -> float:
    return sum(layer.macs * layer.bits * (1 - layer.zeros) for layer in layers) or 1.0


def headline_of(trial: "Trial", layers: list[Layer]) -> str:
    """The measured speed in a sentence, against what the smaller arithmetic might promise."""
    assert trial.metrics is not None
    speed = trial.metrics.speedup
    if not len(trial.recipe):
        return "This is the baseline: what follows says where its time goes."
    promised = promise(layers_of(trial.study.baseline), layers)
    less = f"{promised:.1f}x that its arithmetic (operations x bits) might promise"
    if speed is None:
        return "No speed is claimed for this trial."
    if trial.metrics.verdict == "faster":
        said = f"{speed.value:.2f}x faster [{speed.low:.2f} to {speed.high:.2f}]"
        return (
            f"{said}, not the {less}." if promised > 1.1 * speed.high else f"{said}: all that its arithmetic promises."
        )
    change = "slower" if trial.metrics.verdict == "slower" else "no measurable change in speed"
    said = f"{change[0].upper()}{change[1:]} ({speed.value:.2f}x [{speed.low:.2f} to {speed.high:.2f}])"
    return f"{said}, not the {less}." if promised > 1.1 else f"{said}."
