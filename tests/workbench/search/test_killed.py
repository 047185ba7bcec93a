"""A search whose process is killed is gone on with: nothing is lost, and nothing is tried twice."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna

from workbench import Dataset, Metrics, Study

SEARCH = """
import sys
import workbench as wb
from workbench.data import load_dataset

mnist = load_dataset("mnist")
cut = {"train": 512, "validation": 200}
splits = {name: (getattr(mnist, name).inputs[:n], getattr(mnist, name).labels[:n]) for name, n in cut.items()}
data = wb.Dataset(**splits, classes=mnist.classes, name="mnist")
study = wb.Study("lenet300", data, path=sys.argv[1])
study.search(["size_bytes", "accuracy"], {"accuracy_drop": 0.05}, budget="9 trials", space=%r)
"""
SPACE = {"distill": False, "prune.importance": "l2"}
PATIENCE = 500  # seconds that a busy machine may take


def measured(study: Study) -> dict[int, tuple[str, Metrics, bytes]]:
    """By number, the recipe, the figures and the file of each trial that is complete."""
    return {
        trial.number: (trial.recipe.hash, trial.metrics, trial.artifact.read_bytes())
        for trial in study.trials
        if trial.metrics is not None and trial.artifact is not None
    }


def test_it_goes_on_where_it_was_killed(tmp_path: Path, few_digits: Dataset) -> None:
    path = tmp_path / "study"
    study = Study("lenet300", few_digits, path=path)
    study.prepare_predictions(seconds=0)
    process = subprocess.Popen([sys.executable, "-c", SEARCH % SPACE, str(path)], env=dict(os.environ))
    deadline = time.monotonic() + PATIENCE
    while study.storage.complete() < 1 + 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    before = measured(study)
    assert len(before) >= 1 + 2

    study = Study("lenet300", few_digits, path=path)
    found = study.search(["size_bytes", "accuracy"], {"accuracy_drop": 0.05}, budget="2 trials", space=SPACE)

    after = measured(study)
    assert {number: after[number] for number in before} == before
    hashes = [recipe for recipe, *_ in after.values()]
    assert len(set(hashes)) == len(hashes) and len(after) > len(before)
    assert all(trial.state != "running" for trial in study.trials)
    kept = [n for n, (_, metrics, _) in after.items() if found.goal.kept(metrics, after[0][1])]
    assert found.best is not None and found.best.number == min(kept, key=lambda n: after[n][1].size_bytes)
    assert found.history[0].hypervolume > 0  # what the killed process had found counts from the first moment on
    url = f"sqlite:///{path / 'search.db'}"
    assert url == found.address and url in found.dashboard
    (name,) = optuna.get_all_study_names(url)  # one and the same search
    told = [trial.user_attrs["trial"] for trial in optuna.load_study(study_name=name, storage=url).trials]
    varied = {record.number for record in study.storage.records() if record.params and record.number in after}
    assert len(set(told)) == len(told) and varied and {0} | varied <= set(told)
