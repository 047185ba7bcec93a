"""Notice what another page or process adds to a study."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import ipywidgets as w

from workbench import Study

LOOK = 1.0  # seconds between two looks at the study's folder


def follow(panel: w.Widget, study: Callable[[], Study | None], changed: Callable[[], None]) -> None:
    """Call a function whenever the study on disk became another, from a thread, until the panel is closed.

    Parameters
    ----------
    panel : Widget
    study : callable
        The study that is shown now, or None.
    changed : callable
        Must not raise.
    """

    def watch() -> None:
        seen: tuple = ()
        while panel.comm is not None:
            time.sleep(LOOK)
            shown = study()
            now = (shown.path, _written(shown)) if shown else ()
            if now != seen:
                seen = now
                changed()

    threading.Thread(target=watch, daemon=True).start()


def _written(study: Study) -> tuple[float, ...]:
    """When its facts were written last, and when a search was begun."""
    return tuple(_time(study.path / name) for name in ("study.db", "tasks/search.ticket.json"))


def _time(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # what is left of the study says why, once it is looked at
        return 0.0
