"""A disk that takes no more is a sentence, costs one trial at most, and nothing that was there is lost."""

import errno
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import torch
from torch import nn

from workbench import Dataset, Prune, Recipe, Study, WorkbenchError
from workbench.disk import FREE, REFUSED, refusal, whole, write, writing
from workbench.exports import EXPORTS
from workbench.weights import load_weights, save_weights
from workbench.workers import LocalWorkers

FULL = Path("/dev/full")
SIZE = 4 * 2**20  # bytes of the small disk
SAID = f"The disk is full. {FREE}"
EXPORT = """
import sys
from pathlib import Path
import numpy as np
from torch import nn
from workbench import WorkbenchError
from workbench.runtimes import RUNTIMES
from workbench.steps.base import Work

inputs = np.zeros((2, 1, 8, 8), np.float32)
module = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).eval()
try:
    RUNTIMES[sys.argv[1]].export(Work(module), inputs, inputs, Path("/dev/full"))
except WorkbenchError as error:
    print(error)
"""
needs_full = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
PRUNED = [Recipe([Prune(ratio=0.5, granularity="weight")], seed=seed) for seed in range(3)]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A real disk of a few megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk may not be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path, left: int = 0) -> None:
    """Leave so many bytes of it."""
    (disk / "other").unlink(missing_ok=True)
    (disk / "other").write_bytes(bytes(max(0, shutil.disk_usage(disk).free - left)))


@contextmanager
def small_files(most: int) -> Iterator[None]:
    """No file may be larger than so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def caught(act) -> Exception:
    with pytest.raises(Exception) as raised:  # noqa: PT011 (each library raises its own)
        act()
    return raised.value


def fill_database() -> None:
    with sqlite3.connect(":memory:") as database:
        database.execute("PRAGMA max_page_count = 2")
        database.execute("CREATE TABLE numbers (number)")
        database.executemany("INSERT INTO numbers VALUES (?)", [("x" * 1_000,)] * 100)


def weights_in_a_small_file(path: Path) -> None:
    with small_files(1_000):
        save_weights(nn.Linear(100, 100), path)


def digits_of(few: Dataset, path: Path, runtime: str = "onnxruntime") -> Study:
    torch.manual_seed(0)
    return Study(nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), few, runtime=runtime, path=path)


@needs_full
def test_a_full_disk_is_known_whoever_met_it() -> None:
    for error in (caught(lambda: FULL.write_bytes(b"1")), caught(fill_database)):
        assert str(refusal(error)) == SAID
    wrapped = RuntimeError("The exporter failed.")
    wrapped.__cause__ = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert str(refusal(wrapped)) == SAID


def test_each_other_way_of_taking_no_more_has_its_own_words(tmp_path: Path) -> None:
    for number, (said, hint) in REFUSED.items():
        for error in (OSError(number, "?"), RuntimeError(f"can't write: {os.strerror(number)}")):
            assert str(refusal(error)) == f"{said} {hint}"
    too_large = caught(lambda: weights_in_a_small_file(tmp_path / "large.safetensors"))
    assert str(refusal(too_large)).startswith("The file would be larger than is allowed here.")


def test_what_is_not_about_the_disk_is_left_as_it_is(tmp_path: Path) -> None:
    for error in (ValueError("full"), OSError(errno.EACCES, "denied"), WorkbenchError("The disk is full.")):
        assert refusal(error) is None
    with pytest.raises(ZeroDivisionError), writing(tmp_path):
        raise ZeroDivisionError
    with (
        pytest.raises(WorkbenchError, match=r"a/b can't be written: .*denied\. Elsewhere\."),
        writing("a/b", "Elsewhere."),
    ):
        raise PermissionError(errno.EACCES, "denied")


def test_a_file_is_replaced_when_the_new_one_is_whole_and_else_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write(path, "old")
    with suppress(KeyboardInterrupt), whole(path) as unfinished:
        unfinished.write_text("ne")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    write(path, "new, “whole”")
    assert path.read_text(encoding="utf-8") == "new, “whole”"
    assert list(tmp_path.iterdir()) == [path]


def test_weights_that_find_no_room_leave_the_old_ones(tmp_path: Path) -> None:
    path, module = tmp_path / "weights.safetensors", nn.Linear(100, 100)
    save_weights(module, path)
    caught(lambda: weights_in_a_small_file(path))
    load_weights(again := nn.Linear(100, 100), path)
    assert torch.equal(again.weight, module.weight)
    assert list(tmp_path.iterdir()) == [path]


@needs_full
def test_a_link_goes_on_to_lead_to_its_file_and_a_device_stays_one(tmp_path: Path) -> None:
    link, file = tmp_path / "link", tmp_path / "file"
    file.write_text("old")
    link.symlink_to(file)
    write(link, "new")
    assert link.is_symlink()
    assert file.read_text() == "new"
    with pytest.raises(OSError, match="No space left"):
        write(FULL, "anything")
    assert FULL.is_char_device()


@needs_full
@pytest.mark.parametrize("runtime", ["torch", "sparse"])
def test_a_process_outlives_an_export_to_a_full_disk(runtime: str) -> None:
    done = subprocess.run([sys.executable, "-c", EXPORT, runtime], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, SAID), done.stderr


@pytest.mark.parametrize("runtime", ["onnxruntime", "torch"])
def test_a_trial_that_fills_the_disk_fails_with_that_sentence_and_the_others_stay(
    runtime: str, few_digits: Dataset, disk: Path
) -> None:
    study = digits_of(few_digits, disk / "study", runtime)
    before = study.baseline.metrics
    fill(disk, left=130_000)  # enough to begin, not for the artifact
    failed = study.run(PRUNED[0])
    assert (failed.state, failed.reason) == ("failed", SAID)
    assert not [file for file in study.storage.folder(1).iterdir() if file.name.startswith(("unfinished", "model"))]
    fill(disk)
    with pytest.raises(WorkbenchError, match="The disk is full"):
        study.run(PRUNED[1])
    (disk / "other").unlink()
    assert study.run(PRUNED[2]).metrics
    again = digits_of(few_digits, disk / "study", runtime)
    assert [trial.state for trial in again.trials] == ["complete", "failed", "complete"]
    assert again.baseline.metrics == before


def test_a_disk_that_is_filled_while_a_trial_is_measured_has_room_for_how_it_ended(
    few_digits: Dataset, disk: Path
) -> None:
    study = digits_of(few_digits, disk / "study")
    assert study.baseline.metrics
    done = study.run(PRUNED[0], lambda facts: fill(disk) if facts.get("message") == "Done" else None)
    assert done.state == "complete"
    assert digits_of(few_digits, disk / "study").trial(1).metrics == done.metrics


def test_a_worker_says_so_too_and_not_that_memory_ran_out(few_digits: Dataset, disk: Path) -> None:
    study = digits_of(few_digits, disk / "study", "torch")
    assert study.baseline.metrics
    workers = LocalWorkers()
    try:
        fill(disk, left=130_000)
        failed = workers.submit(study, PRUNED[0]).result(500)
        assert (failed.state, failed.reason) == ("failed", SAID)
        fill(disk)
        with pytest.raises(WorkbenchError, match="The disk is full"):
            workers.submit(study, PRUNED[1])
    finally:
        workers.close()
    assert [trial.state for trial in study.trials] == ["complete", "failed"]


@pytest.mark.parametrize("format", EXPORTS)
def test_an_export_that_finds_no_room_leaves_the_files_that_were_there(format: str, study: Study, disk: Path) -> None:
    trial, folder = study.trial(1), disk / "made"
    try:
        trial.export(format, folder)
    except WorkbenchError as error:
        pytest.skip(str(error))
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    fill(disk, left=8_192)
    with pytest.raises(WorkbenchError, match="The disk is full"):
        trial.export(format, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files


def test_a_report_and_a_recipe_that_find_no_room_leave_the_old_ones(study: Study, disk: Path) -> None:
    report, recipe = study.report(disk / "report.html", []), disk / "recipe.yaml"
    study.trial(1).recipe.save(recipe)
    before = report.read_bytes(), recipe.read_bytes()
    fill(disk)
    with pytest.raises(WorkbenchError, match="The disk is full"):
        study.report(report, [])
    with pytest.raises(WorkbenchError, match="The disk is full"):
        study.trial(1).recipe.save(recipe)
    assert (report.read_bytes(), recipe.read_bytes()) == before
