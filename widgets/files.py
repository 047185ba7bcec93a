"""What a trial leaves to take away: its recipe as text and as code, and each of its files."""

import base64
from html import escape
from pathlib import Path

from widgets.inside import Ask, Question, sentences
from widgets.said import said
from widgets.texts import text
from workbench import Trial
from workbench.metrics import bytes_text
from workbench.questions import EXPORTED, Answer

LARGEST_DOWNLOAD = 30_000_000  # bytes that a page can reasonably carry
KINDS = {"recipe.yaml": "recipe", "weights.safetensors": "weights", "plan.json": "plan", "answers.npy": "answers"}
KINDS |= {"progress.jsonl": "progress", "traceback.txt": "traceback"}


class Exports(Question):
    """The trial in every other format: files to download, their size, how they agree with it, code that runs them."""

    def __init__(self, ask: Ask):
        super().__init__(ask, "exports")

    def about(self, trial: Trial | None, against: int | None = None) -> None:
        super().about(trial, None)
        if trial is not None and trial.metrics is not None:  # the baseline too
            self._about, self.shown.value = (trial, None), ""
        else:
            self.shown.value = f"<p class='wb-hint'>{text('exports.none')}</p>"

    def html(self, answer: Answer) -> str:
        assert self._about is not None
        trial = self._about[0]
        folder = trial.study.storage.folder(trial.number) / EXPORTED
        shown = "".join(_exported(row, folder / row["folder"]) for row in answer.table)
        return f"<h4>{text('exports.title')}</h4>{shown}{sentences(answer)}"


def recipe_page(trial: Trial) -> str:
    """The recipe in YAML and in Python, each to copy."""
    parts = ((trial.recipe.to_yaml(), "YAML"), (trial.recipe.to_python(), "Python"))
    return "<div class='wb-codes'>" + "".join(code_block(code, name) for code, name in parts) + "</div>"


def files_page(trial: Trial) -> str:
    """Every file with its size and what it is, to download; and code that runs the model."""
    artifact = trial.artifact
    made = artifact is not None and artifact.exists()
    name = trial.download_name()
    stem = name.rsplit(".", 1)[0]
    rows = []
    if artifact is not None and made:
        rows += [file_row(name, artifact.stat().st_size, "model", file_content(artifact))]
    rows += [file_row(f"{stem}.yaml", None, "recipe", trial.recipe.to_yaml().encode())]
    if made:
        rows += [file_row(f"{stem}.py", None, "code", trial.snippet().encode())]
        rows += [file_row(helper, None, "helper", code.encode()) for helper, code in trial.helpers().items()]
    folder = trial.study.storage.folder(trial.number)
    for file in sorted(folder.iterdir() if folder.exists() else []):
        if file.name in KINDS and KINDS[file.name] != "recipe":
            rows.append(file_row(f"{stem}-{file.name}", file.stat().st_size, KINDS[file.name], file_content(file)))
    where = f"<p class='wb-hint'>{text('files.where', path=escape(str(folder)))}</p>"
    code = code_block(trial.snippet(), text("files.snippet")) if made else ""
    return f"<div class='wb-scroll'><table class='wb-files'><tbody>{''.join(rows)}</tbody></table></div>{code}{where}"


def _exported(row: dict[str, str], folder: Path) -> str:
    """One format, folded: its size; its files, how it agrees with the model, and code."""
    files = [file for name in row["files"].split("\n") if (file := folder / name).exists()]
    size = bytes_text(sum(file.stat().st_size for file in files))
    helpers = [file for name in row["helpers"].split("\n") if name and (file := folder / name).exists()]
    kinds = [*((file, "export") for file in files), *((file, "helper") for file in helpers)]
    rows = "".join(file_row(file.name, file.stat().st_size, kind, file_content(file)) for file, kind in kinds)
    told = f"{text('exports.parity', share=row['parity'])} {escape(said(row['note']))}".strip()
    code = code_block(row["snippet"], text("files.snippet"))
    return (
        f"<details><summary>{escape(row['format'])}: {size}</summary><p class='wb-hint'>{told}</p>"
        f"<table class='wb-files'><tbody>{rows}</tbody></table>{code}</details>"
    )


def file_content(file: Path) -> bytes | None:
    """Its bytes, or None where they are too many for a page."""
    return None if file.stat().st_size > LARGEST_DOWNLOAD else file.read_bytes()


def file_row(name: str, size: int | None, kind: str, content: bytes | None) -> str:
    """A file as a row of a table: a link that downloads it, its size, and what it is."""
    size = len(content or b"") if size is None else size
    shown = escape(name) if content is None else _link(name, content)
    return f"<tr><th scope='row'>{shown}</th><td>{bytes_text(size)}</td><td>{text(f'files.{kind}')}</td></tr>"


def _link(name: str, content: bytes) -> str:
    data = base64.b64encode(content).decode()
    address = f"data:application/octet-stream;base64,{data}"
    return f"<a class='wb-download' download='{escape(name)}' href='{address}'>{escape(name)}</a>"


def code_block(code: str, name: str) -> str:
    """Code under its name, to copy."""
    return (
        f"<section class='wb-code'><header><b>{name}</b>"
        f"<button type='button' class='wb-copy' data-copy='pre'>{text('copy')}</button></header>"
        f"<pre tabindex='0'>{escape(code)}</pre></section>"
    )
