"""What goes wrong, in words a user can act on."""

from difflib import get_close_matches
from typing import TypeVar

T = TypeVar("T")


class WorkbenchError(Exception):
    """A refusal: what is wrong, and what to do instead.

    Parameters
    ----------
    message : str
        One sentence that says what is wrong.
    hint : str
        One sentence that says what to do about it.
    """

    def __init__(self, message: str, hint: str = ""):
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class Cancelled(WorkbenchError):
    """The user asked to stop."""

    def __init__(self) -> None:
        super().__init__("Cancelled.", "Nothing else was changed; run the recipe again when you like.")

    def __reduce__(self) -> tuple:
        return Cancelled, ()  # it travels from a worker, and takes no arguments


def nearest(word: str, known: list[str]) -> str:
    """A hint that names the known word nearest to a mistyped one, or the one that it abbreviates (``lr``)."""
    known = list(dict.fromkeys(known))
    initials = {"".join(part[:1] for part in name.split("_")): name for name in known if "_" in name}
    if word in initials:
        return f"Did you mean '{initials[word]}'?"
    close = get_close_matches(str(word), known, n=1, cutoff=0.5)
    return f"Did you mean '{close[0]}'?" if close else f"Choose one of: {', '.join(known)}."


def lookup(registry: dict[str, T], name: str, kind: str) -> T:
    """An entry of a registry, or a refusal that names the nearest one."""
    if name not in registry:
        raise WorkbenchError(f"There is no {kind} called '{name}'.", nearest(name, list(registry)))
    return registry[name]
