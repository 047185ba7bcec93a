"""Inductor compiles: it needs a compiler and says so, and its file runs only where it was compiled for."""

import copy
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from workbench import Prune, Recipe, Study, WorkbenchError
from workbench.doctor import examine
from workbench.goals import goal_recipe
from workbench.runtimes import RUNTIMES
from workbench.runtimes.inductor import FACTS, FOLDER, Inductor
from workbench.steps.base import Work

INDUCTOR, TORCH = RUNTIMES["inductor"], RUNTIMES["torch"]


@pytest.fixture(scope="module")
def inputs(digits) -> np.ndarray:
    return digits.prepare(digits.validation.inputs[:20])


@pytest.fixture(scope="module")
def compiled(zoo_lenet5, inputs, tmp_path_factory) -> tuple[Path, Work]:
    INDUCTOR.check_export()
    path, work = tmp_path_factory.mktemp("inductor") / "model.pt2", Work(copy.deepcopy(zoo_lenet5))
    INDUCTOR.export(work, inputs[:2], inputs, path)
    return path, work


def _altered(path: Path, target: Path, **facts: str) -> Path:
    """The same package, of which something else is said."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as changed:
        for name in source.namelist():
            content = source.read(name)
            if name == f"{FOLDER}/model.{FACTS}":
                content = json.dumps(json.loads(content) | facts).encode()
            changed.writestr(name, content)
    return target


def test_what_compiling_took_is_told(compiled):
    assert [note for note in compiled[1].notes if "compiling it took" in note]


def test_headers_are_reckoned_as_compiled_once_this_pytorch_and_compiler_have_done_it(compiled, monkeypatch):
    plain = Inductor.preparing_seconds
    assert Inductor().preparing() == plain
    monkeypatch.setattr("torch.__version__", "1.0")
    assert Inductor().preparing() == plain + Inductor.headers_seconds
    monkeypatch.undo()
    monkeypatch.setenv("CXX", "another")
    assert Inductor().preparing() == plain + Inductor.headers_seconds


def test_no_source_and_no_path_is_in_the_package(compiled):
    with zipfile.ZipFile(compiled[0]) as package:
        names = package.namelist()
        code = b"".join(package.read(name) for name in names)
    assert not [name for name in names if name.endswith((".cpp", ".o", ".h"))]
    assert b"site-packages" not in code
    assert b"torchinductor_" not in code


def test_strides_that_mean_nothing_change_nothing(tmp_path):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 8, 3), nn.Flatten(), nn.Linear(8 * 12 * 12, 3)).eval()
    inputs = np.random.default_rng(0).random((5, 1, 14, 14), np.float32)
    INDUCTOR.export(Work(module), inputs[:2], inputs, tmp_path / "model.pt2")
    odd = np.lib.stride_tricks.as_strided(inputs, inputs.shape, (784, 4, 56, 4))  # a slice over channels leaves such
    assert odd.flags.c_contiguous
    with torch.no_grad():
        expected = module(torch.from_numpy(inputs)).numpy()
    assert np.allclose(INDUCTOR.load(tmp_path / "model.pt2")(odd), expected, atol=1e-5)


def test_more_threads_give_the_same(compiled, inputs):
    one, two = (INDUCTOR.load(compiled[0], threads=count)(inputs) for count in (1, 2))
    assert np.allclose(one, two, atol=1e-5)


@pytest.mark.parametrize("fact", ["PyTorch", "device", "processor"])
def test_a_file_of_another_version_or_processor_is_refused_before_it_runs(fact, compiled, tmp_path):
    path = _altered(compiled[0], tmp_path / "old.pt2", **{fact: "another"})
    with pytest.raises(WorkbenchError, match=f"was compiled for another {fact}: another, and here is") as refusal:
        INDUCTOR.load(path)
    assert refusal.value.hint == "Export it again."


def test_a_flipped_byte_in_the_code_is_refused_before_it_runs(compiled, tmp_path):
    content = bytearray(compiled[0].read_bytes())
    content[len(content) // 2] ^= 0xFF
    path = tmp_path / "flipped.pt2"
    path.write_bytes(content)
    with pytest.raises(WorkbenchError, match="damaged"):
        INDUCTOR.load(path)


def test_it_and_eager_refuse_each_other_s_files_though_the_suffix_is_the_same(compiled, zoo_lenet5, inputs, tmp_path):
    eager = tmp_path / "eager.pt2"
    TORCH.export(Work(copy.deepcopy(zoo_lenet5)), inputs[:2], inputs, eager)
    for runtime, other, path in ((INDUCTOR, TORCH, eager), (TORCH, INDUCTOR, compiled[0])):
        with pytest.raises(WorkbenchError, match="it is a") as refusal:
            runtime.load(path)
        assert refusal.value.hint == f"Choose the runtime '{other.name}' for it."


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler -O2")


REFUSED = r"compiles C\+\+, and there is no compiler 'no-such-compiler' here: what is compiled already can be opened"


@pytest.mark.usefixtures("no_compiler")
@pytest.mark.parametrize(
    ("system", "remedy"), [("linux", "`apt install g++`"), ("darwin", "xcode-select"), ("win32", "Visual Studio")]
)
def test_where_there_is_no_compiler_exporting_says_so_and_how_to_come_by_one(
    system, remedy, lenet5, inputs, tmp_path, monkeypatch
):
    monkeypatch.setattr("sys.platform", system)
    with pytest.raises(WorkbenchError, match=REFUSED) as refusal:
        INDUCTOR.export(Work(lenet5), inputs[:2], inputs, tmp_path / "model.pt2")
    assert remedy in refusal.value.hint
    assert not (tmp_path / "model.pt2").exists()


@pytest.mark.usefixtures("no_compiler")
def test_the_doctor_tells_that_there_is_no_compiler():
    assert [line for line in examine()["For more"] if line.startswith("inductor: ") and "no-such-compiler" in line]


def test_what_is_compiled_runs_where_there_is_no_compiler_at_all(compiled, inputs, tmp_path):
    np.save(tmp_path / "inputs.npy", inputs)
    code = (
        "import numpy as np\nfrom pathlib import Path\nfrom workbench.runtimes import RUNTIMES\n"
        f"session = RUNTIMES['inductor'].load(Path({str(compiled[0])!r}))\n"
        f"np.save({str(tmp_path / 'outputs.npy')!r}, session(np.load({str(tmp_path / 'inputs.npy')!r})))"
    )
    here = {**os.environ, "PATH": "", "CXX": "no-such-compiler", "PYTHONPATH": str(Path.cwd())}
    subprocess.run([sys.executable, "-c", code], check=True, env=here)
    assert np.array_equal(np.load(tmp_path / "outputs.npy"), INDUCTOR.load(compiled[0])(inputs))


def test_a_study_opens_and_tells_all_it_knows_where_there_is_no_compiler(few_digits, tmp_path, monkeypatch):
    measured = Study("lenet5", few_digits, runtime="inductor", path=tmp_path).baseline
    monkeypatch.setenv("CXX", "no-such-compiler")
    study = Study("lenet5", few_digits, runtime="inductor", path=tmp_path)
    assert study.baseline.metrics == measured.metrics
    inputs = few_digits.prepare(few_digits.validation.inputs[:8])
    assert (study.baseline.load()(inputs).argmax(1) == study.baseline.answers()[:8]).all()
    assert "does not show what is computed inside" in study.compare(0, 0).unseen
    assert study.report(tmp_path / "report.html").exists()
    asks = (
        lambda: study.run(Recipe([Prune()])),
        lambda: study.search(["score", "size_bytes"], budget="1 trials"),
        lambda: goal_recipe("smaller", study),
    )
    for ask in asks:
        with pytest.raises(WorkbenchError, match=REFUSED):
            ask()
    assert len(study.trials) == 1


def test_what_it_does_not_tell_is_refused_in_words(compiled, inputs):
    for ask in (INDUCTOR.profile, INDUCTOR.activations):
        with pytest.raises(WorkbenchError, match="Inductor"):
            ask(compiled[0], inputs)
