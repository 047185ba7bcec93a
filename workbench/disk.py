"""Files written whole or not at all; and a disk that takes no more, said in a sentence."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from workbench.errors import WorkbenchError

FREE = "Free some disk space, also where temporary files lie, then try again: what was there before is kept."
ELSEWHERE = "Choose another folder."
REFUSED = {
    errno.ENOSPC: ("The disk is full.", FREE),
    errno.EDQUOT: ("The disk quota is used up.", FREE),
    errno.EROFS: ("The disk can only be read.", ELSEWHERE),
    errno.EFBIG: ("The file would be larger than is allowed here.", "Raise that limit (`ulimit -f`)."),
}
SIGNS = {
    "database or disk is full": errno.ENOSPC,  # SQLite
    "readonly database": errno.EROFS,
    "os error 27": errno.EFBIG,  # safetensors, which is written in Rust
    **{os.strerror(number).lower(): number for number in REFUSED},  # whoever passes on what the system said
}


def refusal(error: BaseException) -> WorkbenchError | None:
    """What to say of a disk that takes no more; None where an error, and what led to it, is about something else."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, WorkbenchError):
        said = str(seen).lower()
        number = seen.errno if isinstance(seen, OSError) else None
        if number not in REFUSED:
            number = next((known for sign, known in SIGNS.items() if sign in said), None)
        if number is not None:
            return WorkbenchError(*REFUSED[number])
        seen = seen.__cause__
    return None


@contextmanager
def writing(where: Path | str, hint: str = ELSEWHERE) -> Iterator[None]:
    """Turn what keeps a place from being written into a refusal.

    Parameters
    ----------
    where : pathlib.Path or str
        As it is told.
    hint : str
        What to do where the disk itself is not the reason.

    Raises
    ------
    WorkbenchError
        If it can't be written.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, WorkbenchError):
            raise
        if (said := refusal(error)) is not None:
            raise said from error
        if isinstance(error, OSError):
            raise WorkbenchError(f"{where} can't be written: {error}.", hint) from error
        raise


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A name beside a file, under which to write what is to become it: all of it, or it stays as it was.

    Parameters
    ----------
    path : pathlib.Path
        What is there but no file (``/dev/stdout``) is written as it is.
    """
    if path.exists() and not path.is_file():
        yield path
        return
    path = path.resolve()  # a link goes on to lead to it
    unfinished = path.with_name(f"unfinished-{uuid4().hex[:8]}-{path.name}")
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def write(path: Path, content: bytes | str) -> None:
    """Write a file, whole or not at all; raises `OSError`."""
    with whole(path) as unfinished:
        unfinished.write_bytes(content.encode() if isinstance(content, str) else content)
