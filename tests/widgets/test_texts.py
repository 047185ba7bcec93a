"""The catalogue: every text in both languages, none missing, none left over."""

import re
from pathlib import Path

import pytest

from widgets.texts import LANGUAGES, catalogue, speak, spoken, text, translated

PLACES = re.compile(r"{\w+}")
CODE = "\n".join(path.read_text(encoding="utf-8") for path in Path("widgets").glob("*.py"))
MADE = (
    "card.",
    "editor.",
    "files.",
    "flips.",
    "heading.",
    "history.",
    "objective.",
    "pick.",
    "plot.title.",
    "row.",
    "state.",
)
ENGINE = ("verdict.", "goal.", "knob.", "score.", "column.", "cell.")
MADE = (
    *MADE,
    "crossovers.",
    "find.",
    "foreseen.",
    "grid.",
    "own.",
    "plot.",
    "runtimes.",
    "sensitivity.",
    "step.",
    "tab.",
    "upload.",
    "work.",
)


@pytest.fixture(autouse=True)
def _english():
    yield
    speak("en")


@pytest.mark.parametrize("key", catalogue())
def test_a_text_is_in_both_languages_with_the_same_places(key):
    texts = catalogue()[key]
    from_the_engine = key.startswith(ENGINE) and key not in ("goal.own", "goal.own.says")
    assert set(texts) == ({"zh"} if from_the_engine else set(LANGUAGES))
    assert len({frozenset(PLACES.findall(told)) for told in texts.values()}) == 1


def test_every_text_that_the_page_asks_for_is_there():
    asked = set(re.findall(r"\btext\(\s*[\"']([\w.]+)[\"']", CODE))
    assert len(asked) > 60
    assert asked <= set(catalogue())


def test_no_text_is_left_over():
    for key, texts in catalogue().items():
        assert re.search(f"[\"']{re.escape(key)}[\"']", CODE) or key.startswith(MADE) or "en" not in texts, key


def test_a_language_is_used_from_then_on_and_an_unknown_one_is_english():
    speak("zh")
    assert (text("run"), spoken()) == ("运行", "zh")
    assert translated("verdict", "faster", "faster") == "更快"
    assert translated("verdict", "new", "as the engine says") == "as the engine says"
    speak("tlh")
    assert text("run") == "Run"
