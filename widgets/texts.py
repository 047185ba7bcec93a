"""Every text of the page, in one catalogue (``texts.yaml``) and two languages."""

import functools
from pathlib import Path

import yaml

LANGUAGES = {"en": "English", "zh": "中文"}
CATALOGUE = Path(__file__).with_name("texts.yaml")
_spoken = ["en"]


@functools.cache
def catalogue() -> dict[str, dict[str, str]]:
    """By key, the text in each language."""
    return yaml.safe_load(CATALOGUE.read_text(encoding="utf-8"))


def speak(language: str) -> None:
    """Use a language for what is shown from now on."""
    _spoken[0] = language if language in LANGUAGES else "en"


def spoken() -> str:
    """The language in use."""
    return _spoken[0]


def text(key: str, **values: object) -> str:
    """The text of a key in the language in use, with values put in."""
    return catalogue()[key][spoken()].format(**values)


def translated(kind: str, name: str, english: str) -> str:
    """What the engine says in English, where the catalogue has it in the language in use; else as it is."""
    return catalogue().get(f"{kind}.{name}", {}).get(spoken(), english)
