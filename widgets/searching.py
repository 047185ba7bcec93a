"""What a search does, has spent and has found, in the words of the page."""

from html import escape
from typing import Any

from widgets.said import said
from widgets.texts import text
from widgets.told import dimension
from widgets.told import objective as named
from widgets.words import recipe_words
from workbench import Recipe

TOLD = 3  # knobs of which it is said how much they matter
MOST = 8  # trials of the front that are named


def doing(facts: dict[str, Any]) -> str:
    """What a search does right now, with recipes in the words of the page."""
    if "recipe" not in facts:
        return said(facts["message"])
    return text(f"find.{facts['doing']}", recipe=recipe_words(Recipe.from_dict(facts["recipe"])))


def spent(facts: dict[str, Any]) -> str:
    """The time, or the trials, that a search took, of those that it may take; "" where it doesn't tell."""
    told = facts.get("spent")
    if not told:
        return ""
    elapsed, trials = duration(told["elapsed"]), told["done"]
    if told["seconds"] is None:
        return text("find.spent.trials", done=trials, trials=told["trials"], elapsed=elapsed)
    key = "find.spent.one" if trials == 1 else "find.spent"
    return text(key, elapsed=elapsed, budget=duration(told["seconds"]), done=trials)


def headline(facts: dict[str, Any]) -> str:
    """That a search runs, and how far it is, in a line."""
    told = [text("work.search", share=f"{facts['share']:.0%}"), spent(facts)]
    return " · ".join(filter(None, told))


def tried(facts: dict[str, Any]) -> int | None:
    """The number of the trial that a search carries out right now; None where it does something else."""
    return facts.get("number") if facts.get("doing") == "trial" else None


def front(facts: dict[str, Any]) -> str:
    """Which trials no other beats so far, and the best of them; "" where there is none yet."""
    numbers = facts.get("front") or []
    if not numbers:
        return ""
    told = text("find.front", numbers=", ".join(map(str, numbers[:MOST])) + ("…" if len(numbers) > MOST else ""))
    best = facts.get("best")
    return told if best is None else told + " " + text("find.front.best", number=best)


def seconds_left(facts: dict[str, Any]) -> float | None:
    """What a search that was stopped has not spent of its time; None where it doesn't tell."""
    told = facts.get("spent")
    return None if not told or told["seconds"] is None else max(0.0, told["seconds"] - told["elapsed"])


def duration(seconds: float) -> str:
    """Minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return text("find.time.seconds", seconds=rest)
    return text("find.time.both" if rest else "find.time.minutes", minutes=minutes, seconds=rest)


def outcome(found: dict[str, Any]) -> str:
    """What a search found, with the knobs that mattered most for its first objective, and how to look into it."""
    told = "".join(f"<p>{escape(said(sentence))}</p>" for sentence in found["sentences"])
    for objective, shares in list(found["importance"].items())[:1]:
        most = sorted(shares.items(), key=lambda pair: pair[1], reverse=True)[:TOLD]
        if most:
            knobs = ", ".join(f"{dimension(name)} {share:.0%}" for name, share in most)
            told += f"<p>{escape(text('find.importance', objective=named(objective), knobs=knobs))}</p>"
    if command := found.get("dashboard"):
        told += f"<details><summary>{text('find.dashboard')}</summary><code>{escape(command)}</code></details>"
    return told
