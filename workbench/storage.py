"""The study's folder: a SQLite file for the facts, and a folder for each trial's files."""

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from workbench.disk import refusal, write
from workbench.errors import WorkbenchError
from workbench.metrics import Metrics
from workbench.prediction import Prediction
from workbench.recipe import Recipe

SCHEMA = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS trials (number INTEGER PRIMARY KEY, state TEXT NOT NULL, record TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS openings (
    id INTEGER PRIMARY KEY, trial INTEGER NOT NULL, metrics TEXT NOT NULL, at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS labels (trial INTEGER PRIMARY KEY, label TEXT NOT NULL);
"""
FINISHED = ("complete", "failed", "cancelled")
BY_USER = "Cancelled by the user."
LOST = "The process that ran this trial was ended from outside. Run the recipe again."
RESERVE, RESERVED = "reserve", 64 * 1024  # the file, and its bytes, that keeps room on disk for how a trial ends
CANCEL = "cancel"  # the file in a trial's folder that says that it is to stop
SETTLED = 100_000_000  # nanoseconds after which a further change has another time, however coarse the clock of files


class Record(BaseModel):
    """What is stored of one trial."""

    model_config = ConfigDict(ser_json_inf_nan="constants")

    number: int
    state: str = "waiting"
    """waiting, running, complete, failed or cancelled."""
    recipe: dict[str, Any]
    recipe_hash: str
    created: float
    seconds: float | None = None
    metrics: Metrics | None = None
    notes: list[str] = []
    reason: str = ""
    """Why it failed, in a sentence or two."""
    artifact: str | None = None
    artifact_sha256: str | None = None
    weight_hash: str | None = None
    prediction: Prediction | None = None
    """What was foreseen before it ran, where the study could."""
    process: tuple[int, float] | None = None
    """The process that carries it out: its number and the time it was created."""
    resumed: bool = False
    """Whether it was begun once more after its process had gone."""
    params: dict[str, Any] = {}
    """What a search varied to come to the recipe, which doesn't always tell."""


class Label(BaseModel):
    """What people say of a trial; nothing in it changes what was measured."""

    model_config = ConfigDict(frozen=True)

    parent: int | None = None
    """The trial whose recipe it was made from; None where nobody said."""
    name: str = Field(default="", max_length=80)
    note: str = Field(default="", max_length=2000)
    star: bool = False
    deleted: bool = False
    """Out of sight: left out of lists, plots and fronts, and kept on disk."""


class Storage:
    """Everything a study knows, on disk; each write is one transaction.

    Parameters
    ----------
    path : pathlib.Path
        The study's folder, made if it isn't there.

    Raises
    ------
    WorkbenchError
        If the folder can't be written, or holds something else.
    """

    def __init__(self, path: Path):
        self.path = path
        self._known: tuple[tuple, list[Record]] = (), []  # what `records` read last
        self._counted: tuple[tuple, int] = (), 0  # what `complete` found last
        self._read: dict[str, Record] = {}
        try:
            (path / "trials").mkdir(parents=True, exist_ok=True)
            with self._connect() as database:
                database.executescript(SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise refusal(error) or WorkbenchError(
                f"The study folder {path} can't be used: {error}.", "Choose a folder that you can write to."
            ) from error

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        database = None
        try:
            database = sqlite3.connect(self.path / "study.db", timeout=30, isolation_level=None)
            yield database
        except (OSError, sqlite3.Error) as error:
            raise refusal(error) or WorkbenchError(
                f"The study in {self.path} can't be read or written: {error}.",
                "Free some disk space, check the permissions, or restore study.db if it is damaged.",
            ) from error
        finally:
            if database is not None:
                database.close()

    def folder(self, number: int) -> Path:
        """The folder of one trial's files."""
        return self.path / "trials" / f"{number:04d}"

    def settings(self) -> dict[str, Any]:
        """What the study was made with, or {} for a new one."""
        with self._connect() as database:
            return {name: json.loads(value) for name, value in database.execute("SELECT name, value FROM settings")}

    def save_settings(self, settings: dict[str, Any]) -> None:
        with self._connect() as database:
            database.execute("BEGIN")
            database.executemany(
                "INSERT OR REPLACE INTO settings VALUES (?, ?)", [(k, json.dumps(v)) for k, v in settings.items()]
            )
            database.execute("COMMIT")

    def add(self, recipe: dict[str, Any], recipe_hash: str, params: dict[str, Any] | None = None) -> Record:
        """A new trial, waiting, with the next free number."""
        with self._connect() as database:
            database.execute("BEGIN IMMEDIATE")
            number = database.execute("SELECT COALESCE(MAX(number), -1) + 1 FROM trials").fetchone()[0]
            record = Record(
                number=number,
                recipe=recipe,
                recipe_hash=recipe_hash,
                created=time.time(),
                process=this_process(),
                params=params or {},
            )
            database.execute("INSERT INTO trials VALUES (?, ?, ?)", (number, record.state, record.model_dump_json()))
            self.folder(number).mkdir(parents=True, exist_ok=True)
            write(self.folder(number) / RESERVE, os.urandom(RESERVED))  # as nothing compresses it
            database.execute("COMMIT")
        return record

    def save(self, record: Record) -> None:
        """Store a trial as it is now; one that ended has room kept for that, whatever else filled the disk."""
        if record.state in FINISHED:
            with suppress(OSError):
                (self.folder(record.number) / RESERVE).unlink(missing_ok=True)
        with self._connect() as database:
            database.execute(
                "UPDATE trials SET state = ?, record = ? WHERE number = ?",
                (record.state, record.model_dump_json(), record.number),
            )

    def record(self, number: int) -> Record:
        """One trial; raises `WorkbenchError` if there is no such number."""
        with self._connect() as database:
            row = database.execute("SELECT record FROM trials WHERE number = ?", (number,)).fetchone()
        if row is None:
            raise WorkbenchError(f"There is no trial {number} in {self.path}.", "`study.trials` lists them.")
        return _read(row[0])

    def records(self) -> list[Record]:
        """All trials, by number, to read: what didn't change since the last time is the same object."""
        written = self._written()
        if not written or self._known[0] != written:
            with self._connect() as database:
                rows = database.execute("SELECT record FROM trials ORDER BY number").fetchall()
            known = self._read
            self._read = {text: known.get(text) or _read(text) for (text,) in rows}
            self._known = written, list(self._read.values())
        return list(self._known[1])

    def _written(self) -> tuple:
        """When the database was written last; () where that is too lately to tell it from what comes next."""
        try:
            found = (self.path / "study.db").stat()
        except OSError:  # whoever then asks the database is told why
            return ()
        settled = time.time_ns() - found.st_mtime_ns > SETTLED
        return (found.st_ino, found.st_mtime_ns, found.st_size) if settled else ()

    def explain(self, number: int, reason: str) -> None:
        """Say better why a trial failed or was cancelled."""
        record = self.record(number)
        record.reason = reason
        self.save(record)

    def stop(self, number: int) -> None:
        """Let a trial stop, whichever process carries it out: at its next batch, or before it begins where it waits.

        Raises
        ------
        OSError
            On a full disk.
        """
        record = self.record(number)
        if record.state in FINISHED:
            return
        try:
            (self.folder(number) / CANCEL).touch()
        finally:
            if record.state == "waiting":  # whoever was to carry it out passes it over
                record.state, record.reason = "cancelled", BY_USER
                self.save(record)

    def to_stop(self, number: int) -> bool:
        """Whether somebody wished a trial to stop."""
        return (self.folder(number) / CANCEL).exists()

    def labels(self) -> dict[int, Label]:
        """What people said of trials, by number; those of whom nothing was said are left out."""
        with self._connect() as database:
            rows = database.execute("SELECT trial, label FROM labels").fetchall()
        return {trial: Label.model_validate_json(label) for trial, label in rows}

    def label(self, number: int, **changes: Any) -> Label:
        """Change what is said of a trial: parent, name, note, star, deleted; returns all that is said now."""
        self.record(number)
        with self._connect() as database:
            database.execute("BEGIN IMMEDIATE")
            row = database.execute("SELECT label FROM labels WHERE trial = ?", (number,)).fetchone()
            said = Label.model_validate_json(row[0]).model_dump() if row else {}
            try:
                label = Label(**{**said, **changes})
            except ValidationError as error:
                first = error.errors()[0]
                raise WorkbenchError(
                    f"The {first['loc'][0]} of a trial can't be that: {first['msg']}.", "Make it shorter."
                ) from error
            database.execute("INSERT OR REPLACE INTO labels VALUES (?, ?)", (number, label.model_dump_json()))
            database.execute("COMMIT")
        return label

    def complete(self) -> int:
        """How many trials are complete."""
        written = self._written()
        if not written or self._counted[0] != written:
            with self._connect() as database:
                found = database.execute("SELECT COUNT(*) FROM trials WHERE state = 'complete'").fetchone()
            self._counted = written, int(found[0])
        return self._counted[1]

    def mark_lost(self) -> None:
        """Fail the trials whose process is gone."""
        with self._connect() as database:
            rows = database.execute("SELECT record FROM trials WHERE state IN ('waiting', 'running')").fetchall()
        for row in rows:
            record = _read(row[0])
            if lost(record):
                record.state, record.reason = "failed", LOST
                self.save(record)

    def reclaim(self) -> list[int]:
        """Make this process the one that carries out the trials whose process is gone, each once; their numbers."""
        deleted = {number for number, label in self.labels().items() if label.deleted}
        claimed = []
        with self._connect() as database:
            database.execute("BEGIN IMMEDIATE")
            rows = database.execute("SELECT record FROM trials WHERE state IN ('waiting', 'running', 'failed')")
            for record in [_read(text) for (text,) in rows.fetchall()]:
                if not lost(record) or record.resumed or record.number in deleted:
                    continue
                record.state, record.reason, record.resumed, record.process = "waiting", "", True, this_process()
                database.execute(
                    "UPDATE trials SET state = ?, record = ? WHERE number = ?",
                    (record.state, record.model_dump_json(), record.number),
                )
                claimed.append(record.number)
            database.execute("COMMIT")
        return claimed

    def open_test(self, number: int) -> int:
        """Count one opening of the test split; returns its number."""
        with self._connect() as database:
            row = database.execute("INSERT INTO openings (trial, metrics, at) VALUES (?, '', ?)", (number, time.time()))
            return int(row.lastrowid or 0)

    def close_test(self, opening: int, metrics: Metrics) -> None:
        """Store what an opening of the test split found."""
        with self._connect() as database:
            database.execute("UPDATE openings SET metrics = ? WHERE id = ?", (metrics.model_dump_json(), opening))

    def openings(self) -> list[tuple[int, Metrics | None]]:
        """Every opening of the test split: (trial, what was found, or None if it was broken off)."""
        with self._connect() as database:
            rows = database.execute("SELECT trial, metrics FROM openings ORDER BY id").fetchall()
        return [(trial, Metrics.model_validate_json(metrics) if metrics else None) for trial, metrics in rows]


def _read(text: str) -> Record:
    """A stored trial; one that this version can't read is shown as failed, and the others go on."""
    try:
        record = Record.model_validate_json(text)
        Recipe.from_dict(record.recipe)
    except (ValidationError, WorkbenchError) as error:
        raw = json.loads(text)
        return Record(
            number=raw["number"],
            state="failed",
            recipe={"steps": []},
            recipe_hash=str(raw.get("recipe_hash", "")),
            created=raw.get("created", 0.0),
            reason=f"This version can't read the stored trial: {str(error).splitlines()[0]}",
        )
    return record


def this_process() -> tuple[int, float]:
    """This process's number and the time it was created, which together name it for ever."""
    process = psutil.Process()
    return process.pid, process.create_time()


def lost(record: Record) -> bool:
    """Whether the process that was to carry out the trial ended before it."""
    if record.state == "failed":
        return record.reason == LOST
    return record.state not in FINISHED and record.process is not None and not alive(*record.process)


def alive(pid: int, created: float) -> bool:
    """Whether the process of that number and time of creation still runs."""
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - created) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
