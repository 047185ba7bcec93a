"""What the engine says, in the language in use: its English sentences, known again by their shape.

The engine speaks English, in databases and on the command line as well. The catalogue (``sentences.yaml``) has the
shape of each of its sentences, with a blank where a figure or a name goes in, and the same in Chinese.
"""

import functools
import re
from pathlib import Path
from string import Formatter
from typing import Any

import parse
import yaml

from widgets.texts import spoken

CATALOGUE = Path(__file__).with_name("sentences.yaml")
END = re.compile(r"(?<=[.!?]) (?=[^\sa-z\d])")
"""Between two sentences."""
NAMED = "name"
"""How a blank is called whose words somebody else chose: nothing in it is translated."""


@functools.cache
def catalogue() -> dict[str, dict[str, str]]:
    """Of whole ``sentences``, and of the ``clauses`` that stand in their blanks: the Chinese by the English."""
    return yaml.safe_load(CATALOGUE.read_text(encoding="utf-8"))


def said(sentence: str) -> str:
    """What the engine says, in the language in use.

    Parameters
    ----------
    sentence : str
        In English; or several sentences, each of which is then looked for by itself.

    Returns
    -------
    str
        As it was where the page speaks English, and where the catalogue has nothing of its shape.
    """
    return _chinese(sentence) if spoken() == "zh" else sentence


@functools.lru_cache(maxsize=4096)
def _chinese(sentence: str) -> str:
    if (whole := _filled(sentence, "sentences")) is not None:
        return whole
    parts = END.split(sentence)
    return " ".join(map(_chinese, parts)).replace("。 ", "。") if len(parts) > 1 else sentence


def _filled(words: str, kind: str) -> str | None:
    """The Chinese of the most particular shape that fits, with its blanks filled in; None where none fits."""
    for english, fixed in _shapes(kind):
        if not all(part in words for part in fixed):
            continue
        found = _reader(english).parse(words)
        if found and not any(END.search(value) for value in found.named.values()):
            blanks = {name: _blank(name, value) for name, value in found.named.items()}
            return catalogue()[kind][english].format(**blanks)
    return None


def _blank(name: str, value: str) -> str:
    return value if name.startswith(NAMED) else _filled(value, "clauses") or _chinese(value)


@functools.cache
def _shapes(kind: str) -> list[tuple[str, list[str]]]:
    """Every English shape with its fixed words, those with most of them first."""
    shapes = [(english, [words for words, *_ in Formatter().parse(english) if words]) for english in catalogue()[kind]]
    return sorted(shapes, key=lambda shape: sum(map(len, shape[1])), reverse=True)


@functools.cache
def _reader(english: str) -> Any:
    return parse.compile(english, case_sensitive=True)
