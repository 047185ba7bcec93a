"""The progress of a part of some work, as progress of all of it."""

from collections.abc import Callable
from typing import Any


def portion(report: Callable[..., None], begin: float, end: float) -> Callable[..., None]:
    """A `report` for a part that begins and ends at these shares of the whole."""

    def told(share: float, **facts: Any) -> None:
        report(share=begin + (end - begin) * share, **facts)

    return told
