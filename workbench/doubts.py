"""What to know of a study's figures before trusting them: where each was measured, and what speaks against it."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from workbench.metrics import Conditions, Metrics
from workbench.runtimes import RUNTIMES

if TYPE_CHECKING:
    from workbench.study import Study
    from workbench.trial import Trial

FEW = 2_000  # validation samples, below which an accuracy is told to be rough
MANY = 10  # trials, from which on the best of them is told to be partly luck
EACH = 3  # trials, up to which it is told of each by what it was disturbed


def doubts(study: "Study") -> list[str]:
    """What a careful reader should know before trusting the figures, each in a sentence."""
    measured = [(trial, trial.metrics) for trial in study.trials if trial.metrics]
    done = [(trial, m) for trial, m in measured if len(trial.recipe)]
    samples = max((m.samples for _, m in done), default=0)
    said = []
    if 0 < samples < FEW:
        said.append(f"The score is taken on {samples:,} samples only: see how wide its intervals are.")
    if len(done) >= MANY:
        said.append(f"The best of {len(done)} trials is partly lucky: judge it once on the test split.")
    said += [*_mixed(measured), *_disturbed(done)]
    if unsure := [t.number for t, m in done if m.verdict == "no measurable change"]:
        said.append(f"No change in speed could be measured for {_trials(unsure)}.")
    if unclaimed := [t.number for t, m in done if m.simulated]:
        said.append(f"No speed is claimed for {_trials(unclaimed)}: simulated.")
    if unlike := [t.number for t, m in done if m.parity.same_answers < 0.99]:
        said.append(f"The file answers otherwise than the model it was made from on 1 % or more for {_trials(unlike)}.")
    if failed := [t.number for t in study.trials if t.state == "failed"]:
        said.append(f"What {_trials(failed)} would have given is unknown: failed.")
    return said or ["None that the workbench could find."]


def measured_on(trials: Iterable["Trial"]) -> dict[str, str]:
    """Each machine and version of a runtime in which trials were timed, and which these were.

    Parameters
    ----------
    trials : iterable of Trial
        Those whose speed was not measured are left out.
    """
    places = _by(_conditions((t, t.metrics) for t in trials if t.metrics), lambda c: f"{_machine(c)}, {_version(c)}")
    alone = len(places) == 1
    return {place: "all trials that were timed" if alone else _trials(numbers) for place, numbers in places.items()}


def _conditions(trials: Iterable[tuple["Trial", Metrics]]) -> dict[int, Conditions]:
    return {trial.number: metrics.conditions for trial, metrics in trials if metrics.conditions}


def _by(conditions: dict[int, Conditions], kind: Callable[[Conditions], str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for number, condition in conditions.items():
        found.setdefault(kind(condition), []).append(number)
    return found


def _machine(conditions: Conditions) -> str:
    """Of a GPU no more than its kind is known."""
    return conditions.processor if conditions.device == "cpu" else f"{conditions.device} beside {conditions.processor}"


def _version(conditions: Conditions) -> str:
    runtime = RUNTIMES.get(conditions.runtime)
    return f"{runtime.title if runtime else conditions.runtime} {conditions.version}".strip()


def _mixed(trials: list[tuple["Trial", Metrics]]) -> list[str]:
    """Several machines, or several versions of one runtime."""
    conditions = _conditions(trials)
    said = []
    if len(machines := _by(conditions, _machine)) > 1:
        said.append(
            f"The trials were measured on different machines ({_each(machines)}): times of one can't be compared with "
            "those of another, and a speed-up is that of its own machine."
        )
    for numbers in _by(conditions, lambda c: c.runtime).values():
        if len(versions := _by({n: conditions[n] for n in numbers}, _version)) > 1:
            said.append(
                f"The trials were measured in different versions ({_each(versions)}): that alone may make a difference."
            )
    return said


def _disturbed(trials: list[tuple["Trial", Metrics]]) -> list[str]:
    found = {t.number: why for t, m in trials if m.conditions and (why := m.conditions.disturbances())}
    if len(found) <= EACH:
        return [f"The machine was noisy while trial {n} was timed: {'; '.join(why)}." for n, why in found.items()]
    return [f"The machine was noisy while {_trials(found)} were timed: by what, is told with each of them."]


def _each(groups: dict[str, list[int]]) -> str:
    return "; ".join(f"{name}: {_trials(numbers)}" for name, numbers in groups.items())


def _trials(numbers: Iterable[int]) -> str:
    told = [str(number) for number in numbers]
    return f"trial {told[0]}" if len(told) == 1 else f"trials {', '.join(told[:-1])} and {told[-1]}"
