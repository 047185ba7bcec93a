"""The predictor of a study: everything that was measured in it so far, ready to answer in milliseconds."""

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import WorkbenchError
from workbench.estimates import Estimate, share_of
from workbench.metrics import Metrics
from workbench.prediction import features
from workbench.prediction.accuracy import AccuracyModel
from workbench.prediction.base import Prediction
from workbench.prediction.latency import LatencyModel
from workbench.prediction.outline import LayerSize, Size
from workbench.prediction.probes import probe, probes_of
from workbench.prediction.prospect import Prospect, follow
from workbench.prediction.sizes import by_arithmetic, by_files
from workbench.prediction.table import table_of
from workbench.prediction.warnings import odd_widths, slower, temperature
from workbench.recipe import Recipe
from workbench.sensitivity import Sensitivity, known_sensitivity

if TYPE_CHECKING:
    from workbench.study import Study
    from workbench.trial import Trial

FEWEST_TRAINED = 4  # trials with training, before a model of them is better than a rule of thumb
RECOVERED = 0.8  # share of what pruning and rounding cost that a short training usually brings back
UNSURE = 0.005  # how far a trained model may end above the baseline


class Predictor:
    """What the study knows, fitted: sizes, speeds and accuracies of what was measured.

    Parameters
    ----------
    study : Study
    """

    def __init__(self, study: "Study"):
        self.study, self.outline, self.runtime = study, study.outline, study.runtime
        self.baseline = _measured(study.baseline)
        self.whole = self.outline.size({})
        self.sensitivity: Sensitivity | None = known_sensitivity(study)
        self.probes = probes_of(study)
        self.trials = [(trial, prospect) for trial in study.trials if (prospect := self._followed(trial))]
        self._models: dict[str, tuple[list[Size], list[int]]] = defaultdict(lambda: ([], []))
        timed: dict[str, tuple[list[tuple[LayerSize, ...]], list[Estimate]]] = defaultdict(lambda: ([], []))
        for row in table_of(study).rows:
            size = self.outline.size({("channel", name): units for name, units in row.cut.items()})
            self._note(row.form, size, row.size_bytes)
            timed[row.form][0].append(size.layers)
            timed[row.form][1].append(_inverse(row.speedup))
        for trial, prospect in self.trials:
            metrics, size = _measured(trial), prospect.size
            if metrics.parameters != size.parameters:
                continue  # something was cut that arithmetic did not follow
            self._note(prospect.form, size, metrics.size_bytes)
            if metrics.speedup is not None:
                timed[prospect.form][0].append(size.layers)
                timed[prospect.form][1].append(_inverse(metrics.speedup))
        self._latency = {form: LatencyModel.fitted(self.whole.layers, *found) for form, found in timed.items()}
        self._untrained, self._trained, self._recovered = self._accuracies()

    def predict(self, recipe: Recipe) -> Prediction:
        """What a recipe would give.

        Raises
        ------
        WorkbenchError
            If it asks for what the model doesn't have, or for what can't be predicted at all.
        """
        prospect = follow(recipe, self.outline, self.runtime)
        size = prospect.size
        notes = list(prospect.notes)
        share = self._share(prospect, size, notes)
        latency = self.baseline.latency
        if not len(recipe):
            share = Estimate(value=1.0, low=1.0, high=1.0)
        return Prediction(
            accuracy=self._accuracy(recipe, prospect, size, notes),
            size_bytes=self._bytes(prospect, size),
            speedup=_inverse(share) if share else None,
            latency=_scaled(share, latency.value) if share and latency else None,
            macs=size.macs,
            parameters=size.parameters,
            notes=notes,
            warnings=self._warnings(recipe, prospect, share),
        )

    def _warnings(self, recipe: Recipe, prospect: Prospect, share: Estimate | None) -> list[str]:
        found = temperature(recipe, [trial for trial, _ in self.trials])
        model = self._latency.get(prospect.form)
        if share is not None and model is not None and len(recipe):
            found += [*slower(share), *odd_widths(prospect, model.share)]
        return found

    def look(self, recipe: Recipe) -> Prediction:
        """As `predict`, after the recipe without its trainings was tried on some samples: about a second, once."""
        if self.probes.of(recipe) is None:
            self.probes.add(probe(self.study, recipe))
        return self.predict(recipe)

    def _note(self, form: str, size: Size, file: int) -> None:
        self._models[form][0].append(size)
        self._models[form][1].append(file)

    def _followed(self, trial: "Trial") -> Prospect | None:
        if trial.metrics is None:
            return None
        try:
            return follow(trial.recipe, self.outline, self.runtime)
        except WorkbenchError:  # it can be carried out, but not predicted
            return None

    def _bytes(self, prospect: Prospect, size: Size) -> Estimate:
        known = by_files(size, *self._models[prospect.form]) if prospect.form != "packed" else None
        if known:
            return known
        graph = max(0, self.baseline.size_bytes - 4 * self.whole.parameters)
        return by_arithmetic(prospect, size, graph)

    def _share(self, prospect: Prospect, size: Size, notes: list[str]) -> Estimate | None:
        """What is left of the baseline's latency."""
        if prospect.simulated:
            notes.append("Simulated: no speed is claimed.")
            return None
        if prospect.packed:
            notes.append("A packed file is as fast as what it unpacks to; its speed is not predicted.")
            return None
        model = self._latency.get(prospect.form)
        if model is None:
            notes.append("Nothing of this kind was timed here yet, so its speed is not predicted.")
            return None
        return model.share(size.layers)

    def _accuracy(self, recipe: Recipe, prospect: Prospect, size: Size, notes: list[str]) -> Estimate | None:
        if not len(recipe):
            return self.baseline.accuracy
        if self.study.dataset.task != "classification":
            notes.append(f"The {self.baseline.score.name} of a recipe is not predicted, only measured.")
            return None
        if self._untrained is None or self.sensitivity is None:
            notes.append("How sensitive the layers are was not measured yet, so accuracy is not predicted.")
            return None
        before = self._before(recipe, prospect, size)
        if prospect.epochs == 0:
            return before
        top = self.baseline.score.value
        if self._trained is not None:
            after = self._trained.at(features.trained(prospect, size, before.value), self._chance)
            return after
        notes.append("Too few trials with training are known here: what training brings back is a rule of thumb.")
        value = before.value + self._recovered * max(0.0, top - before.value)
        return Estimate(value=value, low=min(before.low, value), high=max(value, top) + UNSURE)

    def _before(self, recipe: Recipe, prospect: Prospect, size: Size) -> Estimate:
        """Accuracy without the recipe's trainings."""
        tried = self.probes.of(recipe)
        if tried is not None:
            return share_of(tried.right, tried.samples)
        assert self._untrained is not None and self.sensitivity is not None
        return self._untrained.at(features.untrained(prospect, size, self.sensitivity), self._chance)

    @property
    def _chance(self) -> float:
        return 0.5 / len(self.study.dataset.classes)

    def _accuracies(self) -> tuple[AccuracyModel | None, AccuracyModel | None, float]:
        """The models of accuracy without and with training, and what trainings have brought back, as a share."""
        if self.sensitivity is None:
            return None, None, RECOVERED
        rows = [features.untrained(Prospect(self.outline, self.runtime), self.whole, self.sensitivity)]
        shares, samples = [self.baseline.score.value], [self.baseline.samples]
        for found in self.probes.found.values():
            prospect = follow(Recipe.from_dict(found.recipe), self.outline, self.runtime)
            rows.append(features.untrained(prospect, prospect.size, self.sensitivity))
            shares.append(found.right / found.samples)
            samples.append(found.samples)
        plain = [(t, p) for t, p in self.trials if p.epochs == 0 and len(t.recipe)]
        for trial, prospect in plain:
            metrics = _measured(trial)
            rows.append(features.untrained(prospect, prospect.size, self.sensitivity))
            shares.append(metrics.score.value)
            samples.append(metrics.samples)
        untrained = AccuracyModel(rows, shares, samples)
        self._untrained = untrained
        learned = [(t, p) for t, p in self.trials if p.epochs > 0]
        befores = [self._before(t.recipe, p, p.size).value for t, p in learned]
        top = self.baseline.score.value
        reached = [_measured(t).score.value for t, _ in learned]
        regained = [(a - b) / (top - b) for a, b in zip(reached, befores, strict=True) if top - b > 0.01]
        recovered = float(np.clip(np.median([RECOVERED, *regained]), 0, 1))
        if len(learned) < FEWEST_TRAINED:
            return untrained, None, recovered
        table = [features.trained(p, p.size, b) for (_, p), b in zip(learned, befores, strict=True)]
        table.append(features.trained(Prospect(self.outline, self.runtime, epochs=1.0), self.whole, top))
        counts = [_measured(t).samples for t, _ in learned]
        return untrained, AccuracyModel(table, [*reached, top], [*counts, self.baseline.samples]), recovered


def _measured(trial: "Trial") -> Metrics:
    assert trial.metrics is not None
    return trial.metrics


def _inverse(ratio: Estimate) -> Estimate:
    return Estimate(value=1 / ratio.value, low=1 / ratio.high, high=1 / ratio.low)


def _scaled(estimate: Estimate, factor: float) -> Estimate:
    return Estimate(value=estimate.value * factor, low=estimate.low * factor, high=estimate.high * factor)
