"""How much a search may spend: trials, or time."""

import re
import time
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any

from workbench.errors import WorkbenchError

SECONDS = {"s": 1.0, "sec": 1.0, "second": 1.0, "min": 60.0, "m": 60.0, "minute": 60.0, "h": 3600.0, "hour": 3600.0}


@dataclass
class Budget:
    """What is left of a number of trials or of a time; the clock starts when it is made.

    Attributes
    ----------
    seconds : float or None
    trials : int or None
    """

    seconds: float | None = None
    trials: int | None = None
    began: float = field(default_factory=time.monotonic)
    done: int = 0

    @classmethod
    def of(cls, text: "str | int | timedelta") -> "Budget":
        """From ``"10 min"``, ``"90 s"``, ``"1 h"``, ``"30 trials"``, a number of trials, or a timedelta.

        Raises
        ------
        WorkbenchError
            On anything else, and on nothing to spend.
        """
        if isinstance(text, timedelta):
            return cls._checked(seconds=text.total_seconds())
        if isinstance(text, int) and not isinstance(text, bool):
            return cls._checked(trials=text)
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", str(text).lower())
        unit = match.group(2) if match else ""
        singular = unit[:-1] if unit.endswith("s") and len(unit) > 1 else unit
        if match and singular == "trial":
            return cls._checked(trials=int(float(match.group(1))))
        if match and singular in SECONDS:
            return cls._checked(seconds=float(match.group(1)) * SECONDS[singular])
        raise WorkbenchError(f"A budget can't be {text!r}.", 'Write "10 min", "90 s", "1 h" or "30 trials".')

    @classmethod
    def _checked(cls, seconds: float | None = None, trials: int | None = None) -> "Budget":
        if (seconds or trials or 0) <= 0:
            raise WorkbenchError("A budget of nothing finds nothing.", 'Write "10 min" or "30 trials".')
        return cls(seconds, trials)

    @property
    def spent(self) -> float:
        """The share that is spent, from 0 on."""
        if self.seconds is not None:
            return self.elapsed / self.seconds
        return self.done / (self.trials or 1)

    @property
    def left(self) -> float:
        """Seconds that are left; infinite where trials are counted."""
        return float("inf") if self.seconds is None else self.seconds - self.elapsed

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.began

    def stopped(self) -> "Spent":
        """What of it is spent now."""
        return Spent(self.elapsed, self.done, self.seconds, self.trials)

    def __str__(self) -> str:
        return duration(self.seconds) if self.seconds is not None else f"{self.trials} trials"


def in_words(budget: str | int | timedelta) -> str:
    """A budget as `Budget.of` reads it from a text."""
    if isinstance(budget, timedelta):
        return f"{budget.total_seconds():.1f} s"
    return f"{budget} trials" if isinstance(budget, int) else budget


@dataclass(frozen=True)
class Spent:
    """What a search has spent of its budget.

    Attributes
    ----------
    elapsed : float
        Seconds since it began, what it measured beforehand included.
    done : int
        Trials that it carried out.
    seconds : float or None
    trials : int or None
        The budget: one of both.
    """

    elapsed: float
    done: int
    seconds: float | None
    trials: int | None

    def facts(self) -> dict[str, Any]:
        """As plain data."""
        return {**asdict(self), "elapsed": round(self.elapsed, 1)}

    def __str__(self) -> str:
        trials = f"{self.done} trial" if self.done == 1 else f"{self.done} trials"
        if self.seconds is not None:
            return f"{duration(self.elapsed)} of {duration(self.seconds)}, for {trials}"
        return f"{self.done} of {self.trials} trials, in {duration(self.elapsed)}"


def duration(seconds: float) -> str:
    """``9 min 48 s``, ``10 min``, ``1 h 5 min``, ``1.5 s``."""
    if seconds < 60:
        return f"{seconds:.1f} s".replace(".0 s", " s") if seconds < 10 else f"{seconds:.0f} s"
    minutes, left = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {left} s" if left else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
