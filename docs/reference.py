"""The reference page, from the declarations alone: steps and knobs, commands, public names.

make reference
"""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.cli import get_docs_for_click

import workbench
from workbench.cli import app
from workbench.knobs import knobs
from workbench.models import MODELS
from workbench.rules import RULES
from workbench.runtimes import RUNTIMES
from workbench.steps import STEPS
from workbench.steps.base import Step

PAGE = Path(__file__).with_name("reference.md")


def page() -> str:
    """The whole page, Markdown."""
    parts = [
        "# Reference",
        "Made from the code by `make reference`; a test fails if it differs. What each method does and which paper it "
        "comes from is said where it is declared.",
        "- [Steps](#steps)\n- [Orders](#orders)\n- [Runtimes](#runtimes)\n- [Models](#models)\n- [Python](#python)\n"
        "- [Commands](#commands)",
        "## Steps",
        *steps(),
        "## Orders",
        "What it means that a step comes after another; all other orders are as they look.",
        _table(("first", "later", "", "what to do instead"), orders()),
        "## Runtimes",
        _table(("name", "", "what it is"), ((f"`{n}`", r.title, _prose(r.__doc__)) for n, r in RUNTIMES.items())),
        "## Models",
        _table(("name", "what it is"), ((f"`{name}`", _prose(model.summary)) for name, model in MODELS.items())),
        "## Python",
        *python(),
        "## Commands",
        commands(),
    ]
    return "\n\n".join(parts).rstrip() + "\n"


def steps() -> Iterator[str]:
    """Each step: what it does, its formula and papers, and its knobs."""
    for name, step in STEPS.items():
        yield f"### {name}"
        yield re.sub(r"^References\n-+\n", "**References.** ", inspect.getdoc(step) or "", flags=re.MULTILINE)
        yield _table(
            ("knob", "", "default", "range or choices"),
            ((f"`{knob.name}`", knob.help, f"`{_written(knob.default)}`", knob.values) for knob in knobs(step)),
        )


def orders() -> Iterator[tuple[str, ...]]:
    """The rules of composition."""
    for rule in RULES:
        says = rule.says.format(first=rule.first.capitalize(), later=rule.later.capitalize())
        yield f"`{rule.first}`", f"`{rule.later}`", says, rule.hint


def python() -> Iterator[str]:
    """Every public name with its methods; the steps stand above."""
    for name in workbench.__all__:
        thing = getattr(workbench, name)
        if issubclass(thing, Step):
            continue
        yield f"### `{name}`"
        yield _prose(thing.__doc__)
        ours = [base for base in inspect.getmro(thing) if base.__module__.startswith("workbench")]
        found = {
            key: value for base in ours for key, value in vars(base).items() if not key.startswith(("_", "model_"))
        }
        rows = [(_call(key, value), _prose(_said(value))) for key, value in found.items() if _said(value)]
        if rows:
            yield _table(("", "what it does"), rows)


def commands() -> str:
    """The command line, as its own help tells it, one heading lower."""
    command = typer.main.get_command(app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command), name="workbench")
    return re.sub(r"^#", "##", text.split("\n## ", 1)[1].join(("## ", "")), flags=re.MULTILINE)


def _said(member: Any) -> str:
    """The docstring of a method or property, "" for anything else."""
    documented = isinstance(member, property | classmethod | staticmethod) or inspect.isfunction(member)
    return (member.__doc__ or "") if documented else ""


def _call(name: str, member: Any) -> str:
    if isinstance(member, property):
        return f"`.{name}`"
    signature = inspect.signature(getattr(member, "__func__", member))
    names = [f"{'*' * (p.kind == p.VAR_POSITIONAL)}{p.name}" for p in signature.parameters.values()]
    return f"`.{name}({', '.join(n for n in names if n not in ('self', 'cls'))})`"


def _prose(docstring: str | None) -> str:
    """The first paragraph, on one line."""
    return " ".join(inspect.cleandoc(docstring or "").split("\n\n")[0].split())


def _written(value: Any) -> str:
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)


def _table(head: tuple[str, ...], rows: Any) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
