"""How many threads PyTorch computes with, for a while."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_lock = threading.Lock()
_inside, _usual = 0, 1  # how many are inside, and how many threads there were before the first of them


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Inside, so many; small models gain nothing by more, and lose much where other programs want the processors.

    PyTorch counts for each of Python's threads, but new ones begin with what was set last, in any: so the last one that
    leaves restores what was before the first.
    """
    global _inside, _usual
    with _lock:
        before = torch.get_num_threads()
        _usual = before if _inside == 0 else _usual
        _inside += 1
        torch.set_num_threads(count)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            torch.set_num_threads(before if _inside else _usual)
