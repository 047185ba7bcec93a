"""A model that can't be exported is refused by its operator and its line, with what to write instead."""

import inspect
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from workbench import Study, WorkbenchError
from workbench.runtimes import RUNTIMES
from workbench.runtimes.refusals import not_exported
from workbench.steps.base import Work

INPUTS = np.random.default_rng(0).random((2, 1, 8, 8), np.float32)
COMPILES = ("onnxruntime", "openvino", "executorch")  # into operators of their own
HERE = "test_refusals.py"


class Branches(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        whole = x.flatten(1)
        if whole.mean() > 0:
            return whole[:, :10]
        return whole[:, 10:20]


class Totals(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1) if x.sum().item() > 3 else 2 * x.flatten(1)


class Eigenvalues(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        square = x[:, 0] + 1
        return torch.linalg.eigvals(square).real


@torch.library.custom_op("refused::twice", mutates_args=())
def twice(x: torch.Tensor) -> torch.Tensor:
    return x * 2


@twice.register_fake
def _(x: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(x)


class Custom(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return twice(self.fc(x.flatten(1)))


class OneSize(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x + 1).reshape(2, 64)[:, :10]


class Mistaken(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _helped(x)


def _helped(x: torch.Tensor) -> torch.Tensor:
    return x.flatten(1) @ torch.zeros(7, 10)


def line_of(module: type | object, words: str) -> str:
    """The place of a line of this file: its name, number and source."""
    lines, first = inspect.getsourcelines(module)
    index = next(i for i, line in enumerate(lines) if words in line)
    return f"{HERE}:{first + index} (`{lines[index].strip()}`)"


def refusal_of(name: str, module: nn.Module, tmp_path: Path) -> WorkbenchError:
    """What a runtime says of a module; skips the test where it isn't installed."""
    runtime = RUNTIMES[name]
    if runtime.version() is None:
        pytest.skip(runtime.install())
    with pytest.raises(WorkbenchError, match=f"^The model could not be exported for '{name}': ") as refusal:
        runtime.export(Work(module), INPUTS, INPUTS, tmp_path / f"model{runtime.suffix}")
    assert "\n" not in str(refusal.value)
    return refusal.value


@pytest.mark.parametrize("name", RUNTIMES)
@pytest.mark.parametrize(("module", "words"), [(Branches, "if whole.mean() > 0"), (Totals, "x.sum().item()")])
def test_what_goes_by_values_is_refused_with_its_line(name: str, module: type, words: str, tmp_path: Path) -> None:
    error = refusal_of(name, module(), tmp_path)
    assert f"depends on values in tests/workbench/runtimes/{line_of(module, words)}" in error.message
    assert "torch.where" in error.hint


@pytest.mark.parametrize("name", COMPILES)
@pytest.mark.parametrize(
    ("module", "operator", "words"),
    [(Eigenvalues, "aten.linalg_eig", "linalg.eigvals"), (Custom, "refused.twice", "return twice")],
)
def test_an_operator_that_is_not_known_is_named_with_its_line(name, module, operator, words, tmp_path: Path) -> None:
    error = refusal_of(name, module(), tmp_path)
    assert f"it does not know the operator {operator}, which is used in " in error.message
    assert line_of(module, words) in error.message
    assert error.hint == "Write that with other operations, or choose the runtime 'torch'."


def test_the_runtime_that_the_refusal_points_to_takes_it(tmp_path: Path) -> None:
    RUNTIMES["torch"].export(Work(Eigenvalues()), INPUTS, INPUTS, tmp_path / "model.pt2")
    given = RUNTIMES["torch"].load(tmp_path / "model.pt2")(INPUTS)
    assert np.allclose(given, Eigenvalues()(torch.from_numpy(INPUTS)).numpy(), atol=1e-5)


def test_a_model_without_lines_of_its_own_is_told_by_its_layer(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Sequential(nn.AdaptiveMaxPool2d(4)), nn.Flatten())
    error = refusal_of("onnxruntime", module, tmp_path)
    assert "aten.adaptive_max_pool2d, which is used in the layer '1.0' (AdaptiveMaxPool2d)." in error.message
    error = refusal_of("torch", nn.Sequential(nn.Flatten(), nn.Linear(3, 3)), tmp_path)
    assert "RuntimeError in the layer '1' (Linear): " in error.message


@pytest.mark.parametrize("name", ["onnxruntime", "torch"])
def test_a_model_for_batches_of_one_size_is_refused_with_its_line(name: str, tmp_path: Path) -> None:
    error = refusal_of(name, OneSize(), tmp_path)
    assert "no other batches than those of 2 samples, because of" in error.message
    assert line_of(OneSize, "reshape(2, 64)") in error.message
    assert not (tmp_path / "model.onnx").exists()


@pytest.mark.parametrize("name", ["onnxruntime", "torch"])
def test_a_mistake_is_told_where_the_model_makes_it_though_a_function_of_its_own_does(name: str, tmp_path) -> None:
    error = refusal_of(name, Mistaken(), tmp_path)
    assert f"RuntimeError in tests/workbench/runtimes/{line_of(_helped, 'torch.zeros(7, 10)')}: " in error.message
    assert error.hint == "Rewrite that, or try another runtime."


def test_no_folder_of_this_machine_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = inspect.getsource(Branches).replace("(nn.", "(torch.nn.")
    (tmp_path / "somebody_s.py").write_text(f"import torch\n{source}")
    monkeypatch.syspath_prepend(tmp_path)
    import somebody_s  # type: ignore[import-not-found]

    try:
        error = refusal_of("torch", somebody_s.Branches(), tmp_path)
    finally:
        del sys.modules["somebody_s"]
    assert "in somebody_s.py:5 (`if whole.mean() > 0:`)" in error.message
    assert str(tmp_path) not in str(error)


def test_a_model_from_a_notebook_is_told_by_its_cell() -> None:
    told = {"torch": torch, "__name__": "__main__"}
    source = inspect.getsource(Branches).replace("(nn.", "(torch.nn.")
    exec(compile(source, "/tmp/ipykernel_1/2.py", "exec"), told)
    module = told["Branches"]()
    with pytest.raises(Exception, match="guard") as raised:
        torch.export.export(module, (torch.from_numpy(INPUTS),))
    error = not_exported("torch", raised.value, module, INPUTS)
    assert "depends on values in a notebook's cell, line 4, and a file" in error.message


def test_an_error_that_knows_no_line_is_told_as_it_is() -> None:
    error = not_exported("torch", ValueError("no reason.\nmore"), nn.Linear(1, 1), INPUTS)
    assert error.message == "The model could not be exported for 'torch': ValueError: no reason."


def test_a_trial_of_such_a_model_ends_with_that_sentence(few_digits, tmp_path: Path) -> None:
    study = Study(Branches(), few_digits, path=tmp_path)
    with pytest.raises(WorkbenchError, match="baseline could not be measured") as refusal:
        study.baseline  # noqa: B018
    assert line_of(Branches, "if whole.mean() > 0") in refusal.value.hint
    assert [trial.state for trial in study.trials] == ["failed"]
