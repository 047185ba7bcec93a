"""Trials in a worker process: the same results as here, and nothing that happens there harms the caller."""

import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import psutil
import pytest
from torch import nn

from workbench import Dataset, Distill, Finetune, Prune, Quantize, Recipe, Study, WorkbenchError
from workbench.weights import weight_hash
from workbench.workers import Job, LocalWorkers

PATIENCE = 500  # seconds that a busy machine may take to start a worker and to finish a trial
LONG = Recipe([Finetune(epochs=200)])  # many times longer than a test looks at it
SHORT = Recipe([Prune(ratio=0.25)])
FAILING = Recipe([Distill(teacher="resnet20")])  # which takes larger images


@pytest.fixture(scope="module")
def workers() -> Iterator[LocalWorkers]:
    pool = LocalWorkers()
    yield pool
    pool.close()


@pytest.fixture(scope="module")
def lenet(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study("lenet5", digits, path=tmp_path_factory.mktemp("workers") / "lenet5")


@dataclass(frozen=True)
class Fragile:
    """A study of an own module, defined in a function of a test, whose training does what a file says."""

    study: Study
    orders: Path

    def orders_are(self, *orders: str) -> None:
        """`die` ends the process at the next training step, `sleep` keeps it from looking at the flag; `clutter` first
        makes a temporary folder and starts a process, and notes both."""
        self.orders.write_text("\n".join(orders), encoding="utf-8")


@pytest.fixture(scope="module")
def fragile(few_digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Fragile:
    folder = tmp_path_factory.mktemp("fragile")
    path, notes = folder / "orders", folder / "left"
    path.touch()

    class Own(nn.Sequential):
        def forward(self, inputs):
            if self.training and (orders := path.read_text(encoding="utf-8").splitlines()):
                path.write_text("\n".join(orders[1:]), encoding="utf-8")
                if orders[0] == "die":
                    os.kill(os.getpid(), signal.SIGKILL)
                if orders[0] == "clutter":
                    child = subprocess.Popen(["sleep", str(PATIENCE)])
                    notes.write_text(f"{child.pid} {tempfile.mkdtemp()}", encoding="utf-8")
                time.sleep(PATIENCE)
            return super().forward(inputs)

    module = Own(nn.Flatten(), nn.Linear(784, 16), nn.ReLU(), nn.Linear(16, 10))
    return Fragile(Study(module, few_digits, path=folder / "own"), path)


def wait_until(true: Callable[[], object]) -> None:
    until = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < until, "nothing happened"
        time.sleep(0.02)


def training(job: Job) -> bool:
    return any("loss" in facts for facts in job.trial().progress)


def sleeping(path: Path) -> bool:
    return not path.read_text(encoding="utf-8")


def process(job: Job) -> psutil.Process:
    """The worker that carries the job out, or did."""
    return psutil.Process(job.study.storage.record(job.number).process[0])


def test_a_job_gives_what_running_here_gives(workers, lenet, study):
    here = study.trial(1)
    there = workers.submit(lenet, here.recipe).result(PATIENCE)
    assert there.state == "complete"
    assert there.recipe.hash == here.recipe.hash
    assert there.weight_hash == here.weight_hash
    assert there.metrics.size_bytes == here.metrics.size_bytes
    assert there.metrics.accuracy == here.metrics.accuracy


def test_the_baseline_was_measured_first_by_itself(workers, lenet):
    if not lenet.trials:
        workers.submit(lenet, SHORT).result(PATIENCE)
    first = lenet.trials[0]
    assert (first.state, len(first.recipe)) == ("complete", 0)
    assert [len(trial.recipe) for trial in lenet.trials].count(0) == 1


def test_progress_is_seen_while_it_runs_and_cancel_stops_it_where_it_is(workers, lenet, monkeypatch):
    monkeypatch.setattr("workbench.workers.GRACE", PATIENCE)  # so that nothing but the flag can stop it
    job = workers.submit(lenet, LONG)
    wait_until(lambda: training(job))
    assert job.trial().state == "running"
    assert not job.done()
    with pytest.raises(TimeoutError, match=f"Trial {job.number} is still running"):
        job.result(timeout=0.01)

    job.cancel()
    trial = job.result(PATIENCE)
    assert (trial.state, trial.reason, trial.metrics) == ("cancelled", "Cancelled by the user.", None)
    assert trial.progress[-1]["epoch"] < LONG.steps[0].epochs


def test_cancelling_what_waits_keeps_it_from_running_and_costs_no_worker(workers, lenet, monkeypatch):
    monkeypatch.setattr("workbench.workers.GRACE", PATIENCE)
    runs = workers.submit(lenet, LONG)
    waits = workers.submit(lenet, SHORT)
    wait_until(lambda: training(runs))
    waits.cancel()
    trial = waits.result(timeout=0)
    assert (trial.state, trial.reason, trial.progress) == ("cancelled", "Cancelled by the user.", [])
    assert not runs.done()
    runs.cancel()
    assert runs.result(PATIENCE).state == "cancelled"
    after = workers.submit(lenet, FAILING)
    assert after.result(PATIENCE).state == "failed"
    assert process(after) == process(runs)
    assert waits.trial().progress == []


def test_an_own_module_travels_to_the_worker_and_cancelling_what_is_over_changes_nothing(workers, fragile):
    job = workers.submit(fragile.study, Recipe())
    trial = job.result(PATIENCE)
    assert trial.state == "complete"
    assert trial.weight_hash == weight_hash(fragile.study.module)
    job.cancel()
    assert job.result(0).state == "complete"


def test_cancel_ends_the_process_of_a_step_that_does_not_listen(workers, fragile):
    fragile.orders_are("sleep")
    job = workers.submit(fragile.study, Recipe([Finetune()]))
    wait_until(lambda: sleeping(fragile.orders))
    worker = process(job)
    job.cancel()
    trial = job.result(PATIENCE)
    assert (trial.state, trial.reason) == ("cancelled", "Cancelled by the user.") and trial.seconds > 0
    wait_until(lambda: gone(worker))


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def cluttered(fragile: Fragile) -> tuple[psutil.Process, Path]:
    """What a trial that makes clutter has started and written."""
    notes = fragile.orders.with_name("left")
    wait_until(lambda: notes.exists() and notes.read_text(encoding="utf-8"))
    child, folder = notes.read_text(encoding="utf-8").split()
    notes.unlink()
    assert Path(folder).is_dir()
    return psutil.Process(int(child)), Path(folder)


def test_a_worker_that_is_ended_leaves_no_files_and_no_processes(workers, fragile):
    fragile.orders_are("clutter")
    job = workers.submit(fragile.study, Recipe([Finetune()]))
    child, folder = cluttered(fragile)
    job.cancel()
    assert job.result(PATIENCE).state == "cancelled"
    assert gone(child) and not folder.exists()


def test_nor_does_one_that_was_at_work_when_its_pool_was_closed(fragile):
    pool = LocalWorkers()
    fragile.orders_are("clutter")
    pool.submit(fragile.study, Recipe([Finetune()]))
    child, folder = cluttered(fragile)
    pool.close()
    assert gone(child) and not folder.exists()


def test_a_worker_that_is_killed_once_is_retried(workers, fragile):
    fragile.orders_are("die")
    trial = workers.submit(fragile.study, Recipe([Finetune()])).result(PATIENCE)
    assert (trial.state, trial.reason) == ("complete", "")
    assert not fragile.orders.read_text()
    assert trial.metrics.accuracy.value > fragile.study.baseline.metrics.accuracy.value


def test_a_trial_that_kills_its_worker_twice_fails_alone(workers, fragile):
    fragile.orders_are("die", "die")
    killer = workers.submit(fragile.study, Recipe([Finetune()]))
    after = workers.submit(fragile.study, SHORT)
    trial = killer.result(PATIENCE)
    assert (trial.state, trial.metrics) == ("failed", None) and trial.seconds > 0
    assert trial.reason.startswith("The worker process died twice")
    assert trial.reason.endswith("try a smaller batch size, or a smaller model.")
    assert after.result(PATIENCE).state == "complete"


def test_an_idle_worker_that_is_killed_is_replaced(workers, lenet):
    idle = workers.submit(lenet, LONG)
    wait_until(lambda: training(idle))
    idle.cancel()
    idle.result(PATIENCE)
    process(idle).kill()
    assert workers.submit(lenet, SHORT).result(PATIENCE).state == "complete"


def test_what_the_runtime_cannot_run_is_refused_before_it_is_stored(workers, lenet):
    before = len(lenet.trials)
    with pytest.raises(WorkbenchError, match="no kernels for static 4-bit weights"):
        workers.submit(lenet, Recipe([Quantize(weight_bits=4)]))
    assert len(lenet.trials) == before


def test_a_model_that_cannot_travel_is_refused_before_it_is_stored(workers, few_digits, tmp_path):
    class Locked(nn.Linear):
        lock = threading.Lock()

    study = Study(nn.Sequential(nn.Flatten(), Locked(784, 10)), few_digits, path=tmp_path / "locked")
    with pytest.raises(WorkbenchError, match=r"can't be sent to a worker process: TypeError: .*lock.*Keep locks"):
        workers.submit(study, Recipe())
    assert study.trials == []


def test_a_module_that_the_worker_cannot_import_is_said(workers, few_digits, tmp_path, monkeypatch):
    (tmp_path / "far_away.py").write_text(
        "from torch import nn\n\nclass Far(nn.Flatten):\n    pass\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    module = nn.Sequential(import_module("far_away").Far(), nn.Linear(784, 10))
    trial = workers.submit(Study(module, few_digits, path=tmp_path / "far"), Recipe()).result(PATIENCE)
    assert trial.state == "failed"
    assert "could not load the study: ModuleNotFoundError: No module named 'far_away'" in trial.reason


def test_a_trial_of_a_worker_that_is_gone_says_so_in_the_next_session(lenet, digits):
    gone = psutil.Popen(["true"])
    record = lenet.storage.add(SHORT.to_dict(), SHORT.hash)
    record.state, record.process = "running", (gone.pid, gone.create_time())
    lenet.storage.save(record)
    gone.wait()
    trial = Study("lenet5", digits, path=lenet.path).trial(record.number)
    assert trial.state == "failed"
    assert "was ended from outside. Run the recipe again." in trial.reason


def test_what_an_ended_session_left_undone_is_resumed_by_the_next(workers, lenet, digits):
    gone = psutil.Popen(["true"])
    record = lenet.storage.add(SHORT.to_dict(), SHORT.hash)
    record.process = (gone.pid, gone.create_time())
    lenet.storage.save(record)
    gone.wait()
    study = Study("lenet5", digits, path=lenet.path)  # which marks it as failed
    job = next(job for job in workers.resume(study) if job.number == record.number)
    trial = job.result(PATIENCE)
    assert (trial.number, trial.state) == (record.number, "complete")
    assert record.number not in [job.number for job in workers.resume(study)]


def test_what_another_session_runs_can_be_watched_and_stopped(workers, lenet):
    theirs = workers.submit(lenet, LONG)
    mine = next(job for job in workers.resume(lenet) if job.number == theirs.number)
    assert not mine.done()
    with pytest.raises(TimeoutError, match="is still"):
        mine.result(0)
    wait_until(lambda: theirs.trial().last_progress)
    mine.cancel()
    assert mine.result(PATIENCE).state == theirs.result(PATIENCE).state == "cancelled"


def test_a_trial_is_cancelled_by_whoever_knows_its_number_and_one_that_is_over_stays_as_it_is(workers, lenet):
    runs, waits = workers.submit(lenet, LONG), workers.submit(lenet, SHORT)
    wait_until(lambda: training(runs))
    for job in (waits, runs):
        lenet.trial(job.number).cancel()
    assert runs.result(PATIENCE).state == "cancelled"
    after = workers.submit(lenet, SHORT).result(PATIENCE)
    assert (waits.trial().state, waits.trial().progress) == ("cancelled", [])
    after.cancel()
    assert lenet.trial(after.number).state == "complete"


def test_what_another_session_leaves_undone_is_taken_up_by_the_one_that_watches(workers, lenet, monkeypatch):
    monkeypatch.setattr("workbench.workers.TO_RETRY", 0.0)
    theirs = psutil.Popen(["sleep", "600"])
    record = lenet.storage.add(SHORT.to_dict(), SHORT.hash)
    record.state, record.process = "running", (theirs.pid, theirs.create_time())
    lenet.storage.save(record)
    watched = next(job for job in workers.resume(lenet) if job.number == record.number)
    assert not watched.done()
    theirs.kill()
    theirs.wait()
    assert watched.result(PATIENCE).state == "complete"
    assert lenet.storage.record(record.number).resumed


def test_what_waits_can_be_moved_and_then_runs_in_that_order(workers, lenet):
    running, second, third = (workers.submit(lenet, recipe) for recipe in (LONG, SHORT, SHORT))
    assert workers.move(third, -1)
    assert not workers.move(running, 1)
    running.cancel()
    third.result(PATIENCE)
    assert second.trial().state in ("waiting", "running")
    assert second.result(PATIENCE).state == "complete"
    assert not workers.move(second, -1)


def test_closing_ends_what_runs_and_what_waits_and_the_next_trial_has_a_process_again(lenet):
    pool = LocalWorkers()
    runs, waits = pool.submit(lenet, LONG), pool.submit(lenet, SHORT)
    wait_until(lambda: training(runs))
    pool.close()
    assert [job.result(PATIENCE).state for job in (runs, waits)] == ["cancelled", "cancelled"]
    assert pool.submit(lenet, SHORT).result(PATIENCE).state == "complete"
    pool.close()
