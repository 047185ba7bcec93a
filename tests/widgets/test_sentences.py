"""The catalogue of what the engine says: every blank in both languages, and no sentence that the engine never says."""

import ast
import re
from pathlib import Path
from string import Formatter

import pytest

from widgets.said import catalogue

SHAPES = [(english, chinese) for shapes in catalogue().values() for english, chinese in shapes.items()]
PIECES = 3  # from which the engine puts the words between two figures together


def blanks(shape: str) -> set[str]:
    return {name for _, name, *_ in Formatter().parse(shape) if name}


def engine() -> str:
    """Every text in the engine's code, in small letters, each in a line."""
    found = []
    for path in Path("workbench").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found).lower()


def pieces(words: list[str], texts: str) -> int:
    """From how many pieces of texts these words are put together; more than there are words where one is in none."""
    if not words:
        return 0
    longest = next((n for n in range(len(words), 0, -1) if " ".join(words[:n]) in texts), 0)
    return 1 + pieces(words[longest:], texts) if longest else len(words) + PIECES


@pytest.mark.parametrize(("english", "chinese"), SHAPES)
def test_the_chinese_has_the_blanks_of_the_english(english: str, chinese: str):
    assert any("\u4e00" <= sign <= "\u9fff" for sign in chinese)
    assert blanks(english) == blanks(chinese)


def test_every_shape_is_made_of_the_engines_words():
    spoken = engine()
    for english, _ in SHAPES:
        for fixed, *_ in Formatter().parse(english):
            for words in re.split(r"[:;,.()\[\]]", fixed):
                assert pieces(words.strip(" '`").lower().split(" "), spoken) <= PIECES, (words, english)
