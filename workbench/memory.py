"""Too little memory, said in a sentence: what ran out, while what was done, and what to do."""

import gc
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from workbench.errors import WorkbenchError

SIGNS = (
    "defaultcpuallocator",  # PyTorch
    "out of memory",  # PyTorch and ONNX Runtime, of CUDA
    "failed to allocate memory",  # ONNX Runtime
    "bad_alloc",  # anything in C++
    "bad allocation",
    "storage size calculation overflowed",
)
ASKED = re.compile(r"(?:allocate|buffer of size)\s+([\d.]+)\s*(bytes|[KMGTPE]iB)?", re.IGNORECASE)
UNITS = {"bytes": 0, **{f"{letter}iB": power for power, letter in enumerate("KMGTPE", 1)}}
GIGABYTE = 1e9
HINT = "Use a smaller model or a smaller batch, or a device with more memory."


def shortage(error: BaseException, doing: str = "") -> str | None:
    """A sentence on what ran out of memory, and how much was asked for; None where an error is about something else."""
    said = str(error)
    if not isinstance(error, MemoryError) and not any(sign in said.lower() for sign in SIGNS):
        return None
    who = "The GPU" if "cuda" in said.lower() else "The machine"
    return f"{who} ran out of memory{f' while {doing}' if doing else ''}{_asked(said)}."


def _asked(said: str) -> str:
    if (found := ASKED.search(said)) is None:
        return ""
    size = float(found[1]) * 1024 ** UNITS.get(found[2] or "bytes", 0) / GIGABYTE
    return f": {size:,.0f} GB were asked for at once" if size >= 10 else f": {size:.2g} GB were asked for at once"


@contextmanager
def enough_memory(doing: str, hint: str = HINT) -> Iterator[None]:
    """Turn a shortage of memory into a refusal.

    Parameters
    ----------
    doing : str
        What needs the memory: ``training with batches of 128 samples``.
    hint : str
        What to do about it.

    Raises
    ------
    WorkbenchError
        If the memory doesn't suffice.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, WorkbenchError) or (said := shortage(error, doing)) is None:
            raise
        raise WorkbenchError(said, hint) from error


def release() -> None:
    """Give back what a failed trial held on a GPU, so that the next one has it."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
