"""How much a search may spend: trials, or time."""

import re
import time
from dataclasses import dataclass, field
from datetime import timedelta

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
            return (time.monotonic() - self.began) / self.seconds
        return self.done / (self.trials or 1)

    @property
    def left(self) -> float:
        """Seconds that are left; infinite where trials are counted."""
        return float("inf") if self.seconds is None else self.seconds - (time.monotonic() - self.began)

    def __str__(self) -> str:
        return f"{self.seconds:g} s" if self.seconds is not None else f"{self.trials} trials"
