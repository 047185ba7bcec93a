"""Facts in a file, one line of JSON each: a kill cuts short one line at most, and costs that line alone."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def append(path: Path, fact: dict[str, Any]) -> None:
    """Add a line to a file, which is made if it isn't there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(fact) + "\n")


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Every whole line of a file that holds a fact; none, if there is no file."""
    if not path.exists():
        return
    for line in path.read_bytes().split(b"\n")[:-1]:
        try:
            fact = json.loads(line)
        except ValueError:  # cut short, and written on by the next one
            continue
        if isinstance(fact, dict):
            yield fact
