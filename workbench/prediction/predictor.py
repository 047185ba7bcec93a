"""The predictor of a study: everything that was measured in it so far, ready to answer in milliseconds."""

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from workbench.errors import WorkbenchError
from workbench.estimates import Estimate, share_of
from workbench.machine import processor
from workbench.metrics import Metrics
from workbench.prediction import features
from workbench.prediction.anchors import Anchors, anchors_of
from workbench.prediction.base import CONFIDENCE, Prediction
from workbench.prediction.costs import energy, memory
from workbench.prediction.curves import Curves, single
from workbench.prediction.latency import LatencyModel
from workbench.prediction.outline import LayerSize, Size
from workbench.prediction.probes import probe, probes_of
from workbench.prediction.prospect import COSTLY, Prospect, follow
from workbench.prediction.recovery import Recovery
from workbench.prediction.sizes import CorrectedSizes, FileSizes, by_arithmetic
from workbench.prediction.table import table_of
from workbench.prediction.untrained import Observed, Untrained
from workbench.prediction.warnings import odd_widths, slower, temperature
from workbench.recipe import Recipe
from workbench.sensitivity import Sensitivity
from workbench.sensitivity_scan import SAMPLES, known_sensitivity
from workbench.steps import Prune

if TYPE_CHECKING:
    from workbench.study import Study
    from workbench.trial import Trial

FEWEST = 3  # of what was tried must prune the same kind of units, for anything to be said of accuracy
QUICK = 1e11  # multiply-accumulates of a look: about a second of one processor
KINDS = {"mlp": "channel", "n:m": "weight"}


class Predictor:
    """What the study knows, fitted: sizes, speeds and accuracies of what was measured.

    Parameters
    ----------
    study : Study
    before : Predictor, optional
        One of the same study, fitted when less was known: what its probes lead to is not followed again.
    """

    def __init__(self, study: "Study", before: "Predictor | None" = None):
        self.followed: dict[str, Prospect] = before.followed if before else {}
        self.study, self.outline, self.runtime = study, study.outline, study.runtime
        self.baseline = _measured(study.baseline)
        self.whole = self.outline.whole_size
        self.sensitivity: Sensitivity | None = known_sensitivity(study)
        self.probes = probes_of(study)
        self.anchors: Anchors | None = anchors_of(study, before.anchors if before else None)
        self.trials = [(trial, prospect) for trial in study.trials if (prospect := self._followed(trial))]
        files: dict[str, tuple[list[Size], list[int]]] = defaultdict(lambda: ([], []))
        self._alike: dict[tuple[str, ...], list[tuple[Prospect, int]]] = defaultdict(list)
        self._corrected: dict[tuple[str, ...], CorrectedSizes] = {}
        timed: dict[str, tuple[list[tuple[LayerSize, ...]], list[Estimate]]] = defaultdict(lambda: ([], []))
        self.table = table_of(study)
        for row in self.table.rows:
            size = self.outline.size({("channel", name): units for name, units in row.cut.items()})
            files[row.form][0].append(size)
            files[row.form][1].append(row.size_bytes)
            timed[row.form][0].append(size.layers)
            timed[row.form][1].append(_inverse(row.speedup))
        here = processor(), study.runtime.version() or ""
        for trial, prospect in self.trials:
            metrics, size = _measured(trial), prospect.size
            if metrics.parameters != size.parameters:
                continue  # something was cut that arithmetic did not follow
            files[prospect.family][0].append(size)
            files[prospect.family][1].append(metrics.size_bytes)
            self._alike[_coding(prospect)].append((prospect, metrics.size_bytes))
            conditions = metrics.conditions
            elsewhere = conditions is not None and (conditions.processor, conditions.version) != here
            if metrics.speedup is not None and not elsewhere:
                timed[prospect.family][0].append(size.layers)
                timed[prospect.family][1].append(_inverse(metrics.speedup))
        self._files = {form: FileSizes.of(*found) for form, found in files.items()}
        self._latency = {form: LatencyModel.fitted(self.whole.layers, *found) for form, found in timed.items()}
        self._untrained, self._trained = self._accuracies()

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
        file = self._bytes(prospect, size)
        unpacked = not (prospect.simulated or prospect.packed or prospect.shared)
        runs = [_measured(trial) for trial, other in self.trials if other.form != "packed"]
        return Prediction(
            accuracy=self._accuracy(recipe, prospect, size, notes),
            size_bytes=file,
            speedup=_inverse(share) if share else None,
            latency=_scaled(share, latency.value) if share and latency else None,
            energy=None if prospect.simulated else energy(self.baseline, prospect.macs(self.study.device), file, share),
            memory=memory(self.baseline, file, runs) if unpacked else None,
            macs=size.macs,
            parameters=size.parameters,
            notes=notes,
            warnings=self._warnings(recipe, prospect, share),
            prepared=self.prepared,
            looked=self.probes.of(recipe) is not None,
            quick=self._quick(recipe, prospect),
        )

    @property
    def prepared(self) -> bool:
        """Whether what predictions go by was measured, at least in part."""
        probed = self.study.dataset.task != "classification" or len(self.probes.found) >= FEWEST
        return probed and bool(self.table.rows)

    def _warnings(self, recipe: Recipe, prospect: Prospect, share: Estimate | None) -> list[str]:
        found = temperature(recipe, [trial for trial, _ in self.trials])
        model = self._latency.get(prospect.family)
        if share is not None and model is not None and len(recipe):
            found += [*slower(share), *odd_widths(prospect, model.share)]
        return found

    def _quick(self, recipe: Recipe, prospect: Prospect) -> bool:
        """Whether a look is worth it, and takes no longer than about a second."""
        if self._untrained is None or prospect.epochs or prospect.fresh or not len(recipe):
            return False
        if any(isinstance(step, Prune) and step.importance in COSTLY for step in recipe):
            return False
        known = self.probes.of(recipe) is not None or self._curves.tried(prospect) is not None
        return not known and self.whole.macs * SAMPLES <= QUICK

    def look(self, recipe: Recipe) -> Prediction:
        """As `predict`, after the recipe without its trainings was tried on some samples: about a second, once.

        Only what classifies is tried, as no other score is predicted.
        """
        untried = self.study.dataset.task == "classification" and self.probes.of(recipe) is None
        if untried and not follow(recipe, self.outline, self.runtime).fresh:
            self.probes.add(probe(self.study, recipe))
        return self.predict(recipe)

    def _followed(self, trial: "Trial") -> Prospect | None:
        if trial.metrics is None:
            return None
        try:
            return follow(trial.recipe, self.outline, self.runtime)
        except WorkbenchError:  # it can be carried out, but not predicted
            return None

    def _bytes(self, prospect: Prospect, size: Size) -> Estimate:
        known = self._files.get(prospect.family) if prospect.form != "packed" else None
        if known is not None:
            return known.at(size)
        graph, coding = max(0, self.baseline.size_bytes - 4 * self.whole.parameters), _coding(prospect)
        if not self._alike[coding]:
            return by_arithmetic(prospect, size, graph)
        if coding not in self._corrected:
            self._corrected[coding] = CorrectedSizes(graph, self._alike[coding])
        return self._corrected[coding].at(prospect)

    def _share(self, prospect: Prospect, size: Size, notes: list[str]) -> Estimate | None:
        """What is left of the baseline's latency."""
        if prospect.simulated:
            notes.append("Simulated: no speed is claimed.")
            return None
        if prospect.packed:
            notes.append("A packed file is as fast as what it unpacks to; its speed is not predicted.")
            return None
        model = self._latency.get(prospect.family)
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
        looked = prospect.fresh or self.probes.of(recipe) is not None
        if not looked and (strange := self._strange(prospect)):
            notes.append(f"Pruning by {strange} was hardly tried here yet, so accuracy is not predicted.")
            return None
        if not looked and not self.sensitivity.knows(prospect.bits):
            notes.append("So few bits were not tried on the layers yet, so accuracy is not predicted.")
            return None
        before = self._before(recipe, prospect)
        if prospect.epochs == 0:
            return before
        if prospect.fresh and not any(other.fresh for _, other in self._learned):
            notes.append("It learns from random weights, of which no trial is known here: a rule of thumb.")
        elif not self._learned:
            notes.append("No trial with training is known here: what training brings back is a rule of thumb.")
        return self._trained.at(features.trained(prospect, size, before.value), self._chance)

    def _strange(self, prospect: Prospect) -> str:
        """What the recipe prunes that too few of what was seen do; "" where enough do."""
        return next((kind for kind in sorted(_pruned(prospect)) if self._seen[kind] < FEWEST), "")

    def _before(self, recipe: Recipe, prospect: Prospect, keep: bool = False) -> Estimate:
        """Accuracy without the recipe's trainings; what anchors told may be kept in the study."""
        if prospect.fresh:
            return Estimate(value=self._chance, low=self._chance, high=self._chance)
        tried = self.probes.of(recipe)
        if tried is not None:
            return share_of(tried.right, tried.samples, CONFIDENCE)
        assert self._untrained is not None
        if (found := self._curves.tried(prospect)) is not None:
            return found
        return self._untrained.at(prospect, keep)

    @property
    def _chance(self) -> float:
        return 1 / len(self.study.dataset.classes)

    def _accuracies(self) -> tuple[Untrained | None, Recovery]:
        """The models of accuracy without and with training."""
        top = self.baseline.score.value
        self._learned = [(t, p) for t, p in self.trials if p.epochs > 0]
        if self.sensitivity is None:
            return None, Recovery(top, [], [])
        self._curves = Curves(top, self.sensitivity)
        whole: Observed = (Prospect(self.outline, self.runtime), top, self.baseline.samples)
        seen = [whole]
        for key, found in self.probes.found.items():
            if key not in self.followed:
                self.followed[key] = follow(Recipe.from_dict(found.recipe), self.outline, self.runtime)
            prospect = self.followed[key]
            seen.append((prospect, found.right / found.samples, found.samples))
            self._curves.add(prospect, found.right / found.samples, found.samples)
        seen.sort(key=lambda observed: single(observed[0]) is None)  # of many, the last count
        for trial, prospect in self.trials:
            if prospect.epochs == 0 and len(trial.recipe):
                metrics = _measured(trial)
                seen.append((prospect, metrics.score.value, metrics.samples))
                self._curves.add(prospect, metrics.score.value, metrics.samples)
        self._seen = Counter(kind for prospect, *_ in seen for kind in _pruned(prospect))
        self._untrained = Untrained(seen, self._curves, self.anchors, whole, self._chance)
        befores = [self._before(t.recipe, p, keep=True).value for t, p in self._learned]
        known = [features.trained(p, p.size, b) for (_, p), b in zip(self._learned, befores, strict=True)]
        return self._untrained, Recovery(top, known, [_measured(t).score.value for t, _ in self._learned])


def _coding(prospect: Prospect) -> tuple[str, ...]:
    """Of files that are coded alike, and so miss the same bytes."""
    coded = "shared" if prospect.shared else "rounded" if prospect.quantize else "floats"
    return prospect.family, coded


def _pruned(prospect: Prospect) -> set[str]:
    """What the steps of a recipe prune: all that ends in fewer channels, or in zeros, is one kind."""
    return {KINDS.get(step.granularity, step.granularity) for step in prospect.steps if isinstance(step, Prune)}


def _measured(trial: "Trial") -> Metrics:
    assert trial.metrics is not None
    return trial.metrics


def _inverse(ratio: Estimate) -> Estimate:
    return Estimate(value=1 / ratio.value, low=1 / ratio.high, high=1 / ratio.low)


def _scaled(estimate: Estimate, factor: float) -> Estimate:
    return Estimate(value=estimate.value * factor, low=estimate.low * factor, high=estimate.high * factor)
