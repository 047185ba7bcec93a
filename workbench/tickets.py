"""What long work on a study leaves in its folder, so that every page sees how far it is, stops it, and is told its end.

It is the same whether a page has begun the work, a Python program, or the command line.
"""

import contextlib
import json
import time
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from workbench.disk import refusal, write
from workbench.errors import Cancelled, WorkbenchError
from workbench.storage import alive, this_process

if TYPE_CHECKING:
    from workbench.study import Study

T = TypeVar("T")
Told = Callable[[dict[str, Any]], None]
EVERY = 0.2  # seconds between two facts at least
PROGRESS, CANCEL, TICKET, RESULT = "json", "cancel", "ticket.json", "result.json"
TUPLE = "tuple"  # as JSON has none, and a range of a search is one
_shown: ContextVar[tuple[Path, str] | None] = ContextVar("shown", default=None)


def begin(study: "Study", name: str, options: dict[str, Any] | None = None, program: bool = False) -> None:
    """Leave a ticket, and forget earlier work of that name.

    Parameters
    ----------
    study : Study
    name : str
    options : dict, optional
        What is asked for.
    program : bool
        Whether no page has begun it.
    """
    for kind in (PROGRESS, CANCEL):
        file(study, name, kind).unlink(missing_ok=True)
    asked = {key: _tagged(value) for key, value in (options or {}).items()}
    ticket = {"process": this_process(), "began": time.time(), "options": asked, "program": program}
    with contextlib.suppress(OSError):  # on a full disk the work goes on, unseen by other pages
        _write(file(study, name, TICKET), ticket)


def ticket_of(study: "Study", name: str) -> dict[str, Any] | None:
    """The ticket of the work of that name that was begun last; None where there was none."""
    return read(file(study, name, TICKET))


def end_of(study: "Study", name: str, ticket: dict[str, Any]) -> dict[str, Any] | None:
    """How the work of a ticket ended; None where it didn't, or its process was ended before it could say so."""
    found = read(file(study, name, RESULT))
    return found if found and found.get("began") == ticket.get("began") else None


def running(study: "Study", name: str) -> bool:
    """Whether there is work of that name that waits or runs, in whichever process."""
    ticket = ticket_of(study, name)
    return ticket is not None and end_of(study, name, ticket) is None and alive(*ticket["process"])


def shown(
    study: "Study",
    name: str,
    work: Callable[[Told], T],
    alone: Told = lambda facts: None,
    options: dict[str, Any] | None = None,
    plain: Callable[[T], dict[str, Any]] = dict,  # type: ignore[assignment]
) -> T:
    """Work in this process that pages see and can stop; inside of itself it is not shown twice.

    Parameters
    ----------
    study : Study
    name : str
    work : callable
        Called with what it is to tell its facts to, which raises `Cancelled` when a page wishes it to stop.
    alone : callable
        Called with each fact first; may raise `Cancelled` as well.
    options : dict, optional
        What a program asks for: then there is a ticket from the first fact on, unless other work of that name runs,
        which pages go on showing instead. Left out where a page has left its ticket already.
    plain : callable
        Makes plain data of what was found, with a list of ``sentences`` at least.
    """
    if _shown.get() == (study.path, name):
        return work(alone)
    here = _Here(study, name, alone, options)
    inside = _shown.set((study.path, name))
    try:
        found = work(here.told)
        facts = plain(found)
    except Cancelled:
        here.end({"cancelled": True})
        raise
    except WorkbenchError as error:
        here.end({"refusal": [error.message, error.hint]})
        raise
    except Exception as error:
        if (full := refusal(error)) is not None:  # of whichever part wrote: the database of a search has its own
            here.end({"refusal": [full.message, full.hint]})
            raise full from error
        here.end({"refusal": [f"Something unexpected went wrong: {type(error).__name__}: {str(error)[:300]}", ""]})
        raise
    except BaseException:  # an interruption: the process lives on, and must not seem to be at it
        here.end({"broken": True})
        raise
    finally:
        _shown.reset(inside)
    here.end({"found": facts})
    return found


class _Here:
    """Work of this process, as pages see it."""

    def __init__(self, study: "Study", name: str, alone: Told, options: dict[str, Any] | None):
        self._study, self._name, self._alone, self._options = study, name, alone, options
        self._last, self._seen = 0.0, options is None
        self._ticket = ticket_of(study, name) if self._seen else None
        if self._ticket is not None:
            with contextlib.suppress(OSError):
                _write(file(study, name, TICKET), {**self._ticket, "process": this_process()})

    def told(self, facts: dict[str, Any]) -> None:
        self._alone(facts)
        if not self._seen and not self._begun():
            return
        if file(self._study, self._name, CANCEL).exists():
            raise Cancelled
        now = time.monotonic()
        if now - self._last >= EVERY or facts.get("share") == 1.0:
            self._last = now
            with contextlib.suppress(OSError):  # on a full disk the work goes on, unseen
                _write(file(self._study, self._name, PROGRESS), facts)

    def _begun(self) -> bool:
        """Leave a ticket where no other work of that name runs."""
        if running(self._study, self._name):
            return False
        begin(self._study, self._name, self._options, program=True)
        self._ticket, self._seen = ticket_of(self._study, self._name), True
        return True

    def end(self, how: dict[str, Any]) -> None:
        if self._ticket is not None:
            end(self._study, self._name, self._ticket, how)


def end(study: "Study", name: str, ticket: dict[str, Any], how: dict[str, Any]) -> None:
    """Note how the work of a ticket ended, unless other work of its name was begun since."""
    now = ticket_of(study, name)
    if now is None or now["began"] != ticket["began"]:
        return
    try:
        _write(file(study, name, RESULT), {"began": ticket["began"], **how})
    except OSError:  # on a full disk nothing can be noted, but it must not seem to run
        file(study, name, TICKET).unlink(missing_ok=True)


def asked(ticket: dict[str, Any]) -> dict[str, Any]:
    """The options of a ticket, as they were given."""
    return {key: _untagged(value) for key, value in ticket.get("options", {}).items()}


def file(study: "Study", name: str, kind: str) -> Path:
    """Where a fact of that kind about work of that name is kept."""
    return study.path / "tasks" / f"{name}.{kind}"


def read(path: Path) -> dict[str, Any] | None:
    """The facts in a file; None where there are none, or they were cut short."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _write(path: Path, facts: dict[str, Any]) -> None:
    """All of it or nothing, whoever reads meanwhile."""
    path.parent.mkdir(exist_ok=True)
    write(path, json.dumps(facts, default=str))


def _tagged(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tagged(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        items = [_tagged(each) for each in value]
        return {TUPLE: items} if isinstance(value, tuple) else items
    if isinstance(value, (set, frozenset)):
        return sorted((_tagged(each) for each in value), key=repr)
    return value


def _untagged(value: Any) -> Any:
    if isinstance(value, dict) and set(value) == {TUPLE}:
        return tuple(_untagged(each) for each in value[TUPLE])
    if isinstance(value, dict):
        return {key: _untagged(each) for key, each in value.items()}
    return [_untagged(each) for each in value] if isinstance(value, list) else value
