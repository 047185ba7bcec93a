"""A student, or a teacher, of the user's own, named by what makes it: in a whole study, and reopened elsewhere."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from workbench import Dataset, Distill, Prune, Recipe, Study, WorkbenchError
from workbench.steps.base import Context, Work
from workbench.storage import Record
from workbench.weights import weight_hash
from workbench.workers import LocalWorkers

PARTS = """
from pathlib import Path

import torch
from torch import nn
from workbench import Dataset
from workbench.data import load_dataset

Path(__file__).with_name("imported").touch()


class Small(nn.Module):
    def __init__(self, inputs=784, classes=10):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(inputs, 24), nn.Linear(24, classes)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x.flatten(1))))


class Pair(Small):
    def forward(self, x):
        return super().forward(x), x


class Rows(Small):
    def forward(self, x):
        return super().forward(x).flatten()


class Whole(Small):
    def forward(self, x):
        return super().forward(x).argmax(1)


def other_inputs():
    return Small(inputs=100)


def other_classes():
    return Small(classes=7)


def frozen():
    return Small().requires_grad_(False)


def teacher():
    module = Small()
    with torch.no_grad():
        module.fc2.bias.copy_(torch.arange(10.0))
    return module


def data():
    mnist = load_dataset("mnist")
    splits = {name: getattr(mnist, name) for name in ("train", "validation")}
    cut = {name: (split.inputs[:n], split.labels[:n]) for (name, split), n in zip(splits.items(), (512, 200))}
    return Dataset(**cut, classes=mnist.classes, name="mnist")
"""
AGAIN = """
import sys
from workbench import Study
from workbench.weights import weight_hash
from student_parts import data

study = Study("lenet5", data(), "torch", path=sys.argv[1])
trial = study.trial(int(sys.argv[2]))
print(weight_hash(trial.module()), study.run(trial.recipe).weight_hash)
"""
RECIPE = Recipe([Distill(student="student_parts:Small", epochs=2, learning_rate=0.01), Prune(ratio=0.5)])


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("own")
    (folder / "student_parts.py").write_text(PARTS, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield folder
        sys.modules.pop("student_parts", None)


@pytest.fixture(scope="module")
def study(few_digits: Dataset, folder: Path) -> Study:
    """With an own student that was taught, then pruned."""
    from student_parts import data  # type: ignore[import-not-found]

    study = Study("lenet5", data(), "torch", path=folder / "study")
    study.run(RECIPE)
    return study


def test_an_own_student_takes_the_models_place_and_is_measured(study):
    trial = study.trials[-1]
    assert trial.state == "complete", trial.reason
    assert [tuple(p.shape) for p in trial.module().parameters()] == [(12, 784), (12,), (10, 12), (10,)]
    assert trial.metrics.parameters == 784 * 12 + 12 + 120 + 10
    assert weight_hash(trial.module()) == trial.weight_hash
    assert trial.metrics.accuracy.low > 0.2  # a tenth by chance; what was cut out is not made up for


def test_the_recipe_and_the_plan_hold_the_text(study):
    assert Recipe.from_yaml(RECIPE.to_yaml()) == RECIPE
    assert (
        Recipe([Distill(student="student_parts:frozen")]).hash != Recipe([Distill(student="student_parts:Small")]).hash
    )
    plan = json.loads((study.storage.folder(study.trials[-1].number) / "plan.json").read_text(encoding="utf-8"))
    assert plan["architecture"] == "student_parts:Small"


def test_in_a_fresh_process_it_is_reopened_and_replayed_to_the_same_weights(study, folder):
    trial = next(trial for trial in study.trials if len(trial.recipe))
    arguments = [sys.executable, "-c", AGAIN, str(study.path), str(trial.number)]
    root = str(Path(__file__).parents[3])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(folder), root)), "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(arguments, env=environment, cwd=folder, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == [trial.weight_hash, trial.weight_hash]


def test_it_is_exported_with_code_that_imports_it(study, folder, tmp_path):
    trial = next(trial for trial in study.trials if len(trial.recipe))
    exported = trial.export("safetensors", tmp_path / "out")
    code = exported.snippet + "\nprint([tuple(p.shape) for p in model.parameters()][0])"
    environment = os.environ | {"PYTHONPATH": str(folder) + os.pathsep + str(Path(__file__).parents[3])}
    where = tmp_path / "out"
    ran = subprocess.run([sys.executable, "-c", code], cwd=where, env=environment, capture_output=True, text=True)
    assert ran.stdout.strip() == "(12, 784)", ran.stderr


def test_a_worker_process_makes_it_too(study):
    workers = LocalWorkers()
    try:
        trial = workers.submit(study, RECIPE).result(timeout=500)
    finally:
        workers.close()
    assert trial.state == "complete", trial.reason
    assert trial.weight_hash == next(t for t in study.trials if len(t.recipe)).weight_hash


def test_an_own_teacher_is_imitated(few_digits, lenet5):
    student = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    work = Work(student)
    Distill(teacher="student_parts:teacher", epochs=4, alpha=1.0, learning_rate=0.01).apply(
        work, Context(few_digits, lenet5)
    )
    inputs = torch.from_numpy(few_digits.prepare(few_digits.validation.inputs))
    assert (work.module.eval()(inputs).argmax(1) == 9).float().mean() > 0.95  # its bias prefers 9 whatever it sees


def test_fresh_weights_of_an_own_student_are_drawn_anew(few_digits, lenet5):
    context, hashes = Context(few_digits, lenet5), []
    for fresh in (False, True, True):
        work = Work(lenet5)
        Distill(student="student_parts:teacher", fresh=fresh).apply(work, context)
        hashes.append(weight_hash(work.module))
    assert hashes[0] != hashes[1] == hashes[2]


@pytest.mark.parametrize("who", ["student", "teacher"])
@pytest.mark.parametrize(
    ("factory", "said"),
    [
        ("other_inputs", r"can't take inputs of shape \(1, 28, 28\)"),
        ("other_classes", r"tells 7 classes apart, the dataset has 10"),
        ("Pair", "gives tuple, not one tensor of floats"),
        ("Whole", "gives torch.int64, not one tensor of floats"),
        ("Rows", r"gives outputs of shape \(20,\) for 2 inputs"),
        ("data", "makes a Dataset, not a model"),
        ("nothing", "can't be imported"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_work(few_digits, lenet5, who, factory, said):
    step = Distill(**{who: f"student_parts:{factory}"})
    with pytest.raises(WorkbenchError, match=said):
        step.check(Context(few_digits, lenet5))


def test_a_student_with_nothing_to_train_is_refused(few_digits, lenet5):
    with pytest.raises(WorkbenchError, match="has no parameters to train"):
        Distill(student="student_parts:frozen").check(Context(few_digits, lenet5))
    Distill(teacher="student_parts:frozen").check(Context(few_digits, lenet5))


@pytest.mark.parametrize("step", [Distill(student="student_parts:Small"), Distill(teacher="student_parts:teacher")])
def test_a_served_page_never_follows_the_name(study, folder, step, monkeypatch):
    """Not from the knobs or a file (all that is submitted), not from a stored trial, not from a plan."""
    monkeypatch.setenv("WORKBENCH_OWN_CODE", "no")
    monkeypatch.delitem(sys.modules, "student_parts")
    (folder / "imported").unlink(missing_ok=True)
    recipe, refused = Recipe([step]), "names code of somebody's own, which the served page never runs"
    known = len(study.trials)
    for submit in (study.check, study.run, lambda recipe: LocalWorkers().submit(study, recipe)):
        with pytest.raises(WorkbenchError, match=refused):
            submit(recipe)
    assert len(study.trials) == known
    record: Record = study.storage.add(recipe.to_dict(), recipe.hash)
    assert refused in study.execute(record.number).reason
    with pytest.raises(WorkbenchError, match=refused):
        next(trial for trial in study.trials if trial.metrics and len(trial.recipe)).module()
    assert not (folder / "imported").exists()


def test_nor_does_its_worker_process(study, folder, monkeypatch):
    recipe = Recipe([Distill(student="student_parts:Small")])
    record = study.storage.add(recipe.to_dict(), recipe.hash)
    monkeypatch.setenv("WORKBENCH_OWN_CODE", "no")
    workers = LocalWorkers()
    (folder / "imported").unlink(missing_ok=True)
    record.process = (2**22 - 1, 0.0)  # as of a page that is gone
    study.storage.save(record)
    try:
        (job,) = (job for job in workers.resume(study) if job.number == record.number)
        trial = job.result(timeout=500)
    finally:
        workers.close()
    assert trial.state == "failed"
    assert "which the served page never runs" in trial.reason
    assert not (folder / "imported").exists()
