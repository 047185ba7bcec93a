"""A teacher's logits, computed once and kept on disk."""

import hashlib
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from workbench.data import Dataset, Split
from workbench.evaluation import task_of
from workbench.weights import weight_hash

LIMIT = 500_000_000  # bytes of the whole cache
STALE = 3600  # seconds after which an unfinished file is taken for one whose writer was killed
PROBE = 8  # samples
BATCH = 500


def logits_of(teacher: nn.Module, dataset: Dataset, split: Split, device: str = "cpu") -> Tensor:
    """What the teacher says to each input of a split, as it is: (N, ...), of a classifier (N, classes).

    It is read from the cache where it was computed before with the same weights, inputs, device, threads and torch.
    As equal weights don't make equal models, the teacher is asked about a few inputs all the same; if it says anything
    else, all is computed again.
    """
    path = folder() / f"{_key(teacher, dataset, split, device)}.npy"
    probe = _ask(teacher, dataset, split.inputs[:PROBE], device)
    kept = _read(path, (len(split), *probe.shape[1:]))
    if kept is not None and np.allclose(kept[:PROBE], probe, rtol=1e-3, atol=1e-3 * max(1.0, np.abs(probe).max())):
        return torch.from_numpy(kept).to(device)
    step = task_of(dataset).batch(dataset, BATCH)
    parts = [_ask(teacher, dataset, split.inputs[start : start + step], device) for start in range(0, len(split), step)]
    computed = np.concatenate(parts)
    _write(path, computed)
    return torch.from_numpy(computed).to(device)


def folder() -> Path:
    """Where the logits are kept: `WORKBENCH_CACHE`, or the user's cache."""
    base = os.environ.get("WORKBENCH_CACHE") or Path.home() / ".cache" / "compression-workbench"
    return Path(base).expanduser() / "teachers"


def _ask(teacher: nn.Module, dataset: Dataset, inputs: np.ndarray, device: str) -> np.ndarray:
    with torch.no_grad():
        return teacher(torch.from_numpy(dataset.prepare(inputs)).to(device)).float().cpu().numpy()


def _key(teacher: nn.Module, dataset: Dataset, split: Split, device: str) -> str:
    known = (weight_hash(teacher), repr(teacher), device, torch.get_num_threads(), torch.__version__)
    scaling = (dataset.mean, dataset.std, split.inputs.shape, split.inputs.dtype.str)
    digest = hashlib.sha256(repr((known, scaling)).encode())
    digest.update(np.ascontiguousarray(split.inputs).data)
    return digest.hexdigest()[:32]


def _read(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    try:
        kept = np.load(path, allow_pickle=False)
        path.touch()  # what is in use is the last to go
    except (OSError, ValueError, EOFError):  # not there, or damaged
        return None
    return kept if kept.shape == shape and kept.dtype == np.float32 and np.isfinite(kept).all() else None


def _write(path: Path, logits: np.ndarray) -> None:
    """Under another name first, so that a kill leaves no half file; a cache that can't be written is done without."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _make_room(path.parent, logits.nbytes)
        if logits.nbytes > LIMIT:
            return
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".partial", delete=False) as file:
            np.save(file, logits)
        os.replace(file.name, path)
    except OSError:
        return


def _make_room(where: Path, needed: int) -> None:
    """Remove what was not used for longest, and what a killed process left behind."""
    files = sorted(((file.stat(), file) for file in where.iterdir()), key=lambda pair: pair[0].st_mtime)
    room = LIMIT - needed - sum(stat.st_size for stat, _ in files)
    for stat, file in files:
        stale = file.suffix == ".partial" and time.time() - stat.st_mtime > STALE
        if stale or (room < 0 and file.suffix == ".npy"):
            file.unlink(missing_ok=True)
            room += stat.st_size
