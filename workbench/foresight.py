"""Foresight: what a study can tell of recipes that were never carried out, and how it searches among them."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from workbench.errors import WorkbenchError
from workbench.recipe import Recipe

if TYPE_CHECKING:
    from workbench.prediction import Prediction
    from workbench.prediction.calibration import Calibration
    from workbench.prediction.outline import Outline
    from workbench.prediction.predictor import Predictor
    from workbench.search import Outcome
    from workbench.sensitivity import Sensitivity
    from workbench.steps import Quantize
    from workbench.storage import Record
    from workbench.study import Study

OnProgress = Callable[[dict[str, Any]], None]


class Foresight:
    """The half of a `Study` that looks ahead; what it goes by lies in the study's folder."""

    _fitted: "tuple[tuple, Predictor] | None" = None

    @property
    def _study(self) -> "Study":
        return cast("Study", self)

    @cached_property
    def outline(self) -> "Outline":
        """The model as arithmetic: what any cut of it leaves."""
        from workbench.carry_out import context_of
        from workbench.prediction.outline import Outline

        return Outline(self._study.module, context_of(self._study), self._study.path / "scores")

    def sensitivity(self, importance: str = "l2", on_progress: OnProgress | None = None) -> "Sensitivity":
        """How much the model suffers when one layer alone is pruned or rounded: measured once, then read.

        Parameters
        ----------
        importance : str
            Which channels go first, as in `Prune`.
        on_progress : callable, optional
            As in `run`. What a cancelled measurement found is kept.
        """
        from workbench.sensitivity_scan import sensitivity

        return sensitivity(self._study, importance, reporting(on_progress), whole=True)

    def known_sensitivity(self) -> "Sensitivity | None":
        """What `sensitivity` has measured already, if anything: without measuring."""
        from workbench.sensitivity_scan import known_sensitivity

        return known_sensitivity(self._study)

    def changeable(self) -> dict[str, list[str]]:
        """By each step that has a table by layer, the names of the layers that it can change.

        They are those whose channels can be cut, or all that have weights, as the step's knob says. Layers that have to
        be cut together are named by the first of them. The graph is walked once, in about a second.
        """
        from workbench.knobs import knobs
        from workbench.quantization.layers import weighted
        from workbench.steps import STEPS

        structure = self.outline.structure("channel")
        groups = [group.name for group in structure.groups] if structure else []
        layers = list(weighted(self._study.module))
        place = {name: index for index, name in enumerate(layers)}
        names = {"channels": sorted(groups, key=lambda name: place.get(name, len(place))), "weights": layers}
        return {key: names[knob.of] for key, step in STEPS.items() for knob in knobs(step) if knob.of}

    def prepare_predictions(self, seconds: float = 60.0, on_progress: OnProgress | None = None) -> None:
        """Measure what predictions go by, as far as it isn't yet: sensitivity, probes, and a table of speeds.

        Parameters
        ----------
        seconds : float
            For probes along the ratio, and as many for the table of speeds; the rest is measured in any case.
        on_progress : callable, optional
            As in `run`. What a cancelled measurement found is kept.
        """
        from workbench.prediction.prepare import prepare

        prepare(self._study, seconds, reporting(on_progress))

    def predict(self, recipe: Recipe, look: bool = False) -> "Prediction":
        """What a recipe would give, without doing it: in milliseconds, from what `prepare_predictions` and trials told.

        Parameters
        ----------
        recipe : Recipe
        look : bool
            Try the recipe without its trainings on some samples first, which takes about a second, once for each
            recipe: accuracy is then much better known.

        Raises
        ------
        WorkbenchError
            If it asks for what the model doesn't have, or for what can't be predicted at all.
        """
        from workbench.threads import threads

        with threads(1):
            predictor = self._predictor()
            if not look:
                return predictor.predict(recipe)
            found = predictor.look(recipe)
        self._fitted = self._known(), predictor  # what this look told is in it already
        return found

    def accuracy_aware(
        self, drop: float, step: "Quantize | None" = None, on_progress: OnProgress | None = None
    ) -> "Quantize":
        """Quantize all layers, then leave in floats what suffers most, until no more than `drop` is lost.

        Tried in memory, without a trial; `run` the step to have it measured.

        Parameters
        ----------
        drop : float
            A share of all samples: 0.01 is one point.
        step : Quantize, optional
            What to quantize to; 8 bits if left out.
        on_progress : callable, optional
            As in `run`.

        Raises
        ------
        WorkbenchError
            If not even one layer can be quantized within that.
        """
        from workbench.search.fallback import accuracy_aware

        return accuracy_aware(self._study, drop, step, reporting(on_progress))

    def search(
        self,
        objectives: Sequence[str] | str = ("accuracy", "size_bytes", "latency"),
        constraints: Mapping[str, float] | None = None,
        budget: str | int | timedelta = "10 min",
        space: Mapping[str, Any] | None = None,
        sampler: str = "tpe",
        seed: int = 0,
        storage: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> "Outcome":
        """Look for the recipes of the best trade-offs; every trial is kept, and the same search again goes on.

        Pages that look at the study show how far it is, and can stop it or skip a trial of it, whoever has begun it.

        Parameters
        ----------
        objectives : sequence of str
            Of accuracy, accuracy_drop, size_bytes, latency, speedup, macs, parameters, memory, energy.
        constraints : mapping, optional
            Limits by the same names: ``{"accuracy_drop": 0.01, "size_bytes": 100_000}``.
        budget : str, int or timedelta
            ``"10 min"``, ``"30 trials"``. A trial that the time cuts short is cancelled.
        space : mapping, optional
            What is searched: ``{"prune.ratio": (0.3, 0.8), "prune.importance": ["l2", "fpgm"], "distill": False}``.
            Ranges are those of the knobs' declarations, or narrower; what isn't named is as usual.
        sampler : str
            ``tpe``, ``nsga2``, ``gp`` or ``random``.
        seed : int
            Of the search, and of every recipe.
        storage : str, optional
            The URL of a database for the history, which optuna-dashboard opens; ``search.db`` in the study's folder
            if left out.
        on_progress : callable, optional
            Called with a dict of facts: share of the budget, message, hypervolume; raise `Cancelled` in it to stop.

        Returns
        -------
        Outcome
            The front, the best within the limits or what is nearest, and how it went. Also when it was stopped.

        Raises
        ------
        WorkbenchError
            On a limit that nothing can keep, or no recipe of the space by arithmetic alone; a budget too small for one
            trial; a space of one point; or an objective that is not measured here.
        """
        from workbench.search.budget import in_words
        from workbench.search.goals import number
        from workbench.search.outcome import Outcome
        from workbench.search.search import search
        from workbench.tickets import shown

        asked = {
            "objectives": [objectives] if isinstance(objectives, str) else list(objectives),
            "constraints": {name: number(name, limit) for name, limit in dict(constraints or {}).items()},
            "budget": in_words(budget),
            "space": dict(space) if space else None,
            "sampler": sampler,
            "seed": seed,
        }

        def work(told: OnProgress) -> Outcome:
            report = reporting(told)
            return search(
                self._study, objectives, constraints, budget, space, sampler, seed=seed, storage=storage, report=report
            )

        # a page can't go on with the history of another database, whose address may hold a password
        options = {} if storage else asked
        return shown(self._study, "search", work, on_progress or (lambda facts: None), options, Outcome.facts)

    def calibration(self) -> "list[Calibration]":
        """Predicted against measured, for every trial that was foreseen before it ran."""
        from workbench.prediction.calibration import calibrations

        return calibrations(self._study.trials)

    def foreseen(self, record: "Record") -> "Prediction | None":
        """What is predicted of a trial that is about to run; None where the study wasn't prepared for predictions."""
        if not record.recipe["steps"] or not (self._study.path / "prediction").exists():
            return None
        try:
            return self.predict(Recipe.from_dict(record.recipe))
        except WorkbenchError:  # it can run all the same, or will say itself why not
            return None

    def _predictor(self) -> "Predictor":
        """Fitted anew when there is more to go by."""
        from workbench.prediction.predictor import Predictor

        known = self._known()
        if self._fitted is None or self._fitted[0] != known:
            self._fitted = known, Predictor(self._study, self._fitted[1] if self._fitted else None)
        return self._fitted[1]

    def _known(self) -> tuple:
        """What changes as soon as there is more to go by, or less."""
        folder = self._study.path / "prediction"
        names = "table.jsonl", "probes.jsonl", "anchors.safetensors"
        told = [folder / name for name in names]
        files = [*sorted((self._study.path / "sensitivity").glob("*")), *told]
        return self._study.storage.complete(), *(path.stat().st_size if path.exists() else 0 for path in files)


def reporting(on_progress: OnProgress | None) -> Callable[..., None]:
    """A `report` with keyword facts that tells an `on_progress` with a dict of them."""
    return (lambda **facts: on_progress(facts)) if on_progress else lambda **facts: None
