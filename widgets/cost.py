"""What running a recipe will cost, before it runs: an estimate from how long earlier trials took; and if it has run."""

from statistics import median

from widgets.texts import text
from workbench import Recipe, Study


class Cost:
    """Seconds without training, and seconds for each epoch, of a study; read again when a trial was added.

    Training dominates, so that trials count by their epochs.
    """

    def __init__(self) -> None:
        self._state: tuple = ()
        self._still: float | None = None
        self._epoch: float | None = None
        self._ran: dict[Recipe, int] = {}

    def seconds(self, study: Study, recipe: Recipe) -> float | None:
        """How long it would take here; None where no trial was like it."""
        state = (study.path, study.storage.complete())
        if state != self._state:
            self._state = state
            self._learn(study)
        epochs = _epochs(recipe)
        if epochs and self._epoch is not None:
            return (self._still or 0.0) + epochs * self._epoch
        return None if epochs else self._still

    def told(self, study: Study | None, recipe: Recipe | None) -> str:
        """The same in words, and which trial was this very recipe; "" where nothing is known."""
        if study is None or recipe is None or not len(recipe):
            return ""
        seconds = self.seconds(study, recipe)
        ran = f"<p class='wb-hint'>{text('work.ran', number=self._ran[recipe])}</p>" if recipe in self._ran else ""
        if seconds is None:
            return ran
        if seconds < 100:
            time = text("work.seconds", count=f"{max(seconds, 1):.0f}")
        else:
            time = text("work.minutes", count=f"{seconds / 60:.0f}")
        return f"<p class='wb-hint'>{text('work.expected', time=time)}</p>{ran}"

    def _learn(self, study: Study) -> None:
        self._ran = {t.recipe: t.number for t in study.trials if t.state == "complete"}
        done = [(_epochs(t.recipe), t.seconds) for t in study.trials if t.state == "complete" and t.seconds]
        still = [seconds for epochs, seconds in done if not epochs]
        self._still = median(still) if still else None
        each = [max(seconds - (self._still or 0.0), 0.0) / epochs for epochs, seconds in done if epochs]
        self._epoch = median(each) if each else None


def _epochs(recipe: Recipe) -> float:
    """All epochs of its trainings together."""
    return float(sum(getattr(step, "epochs", 0.0) for step in recipe))
