"""A `torch.export` program that would run code when PyTorch reads it is refused, and nothing of it is run."""

import copy
import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from workbench import WorkbenchError
from workbench.runtimes import RUNTIMES
from workbench.runtimes.pickles import check_program, load_program
from workbench.runtimes.quiet import quiet
from workbench.steps.base import Work

INPUTS = np.zeros((2, 1, 4, 4), np.float32)
RAN = "RAN_FROM_A_PICKLE"  # in the environment, once it was


class Runs:
    """What runs code as soon as it is unpickled."""

    def __reduce__(self) -> tuple:
        return exec, (f"import os; os.environ[{RAN!r}] = 'yes'",)


def saved(what: object) -> bytes:
    file = io.BytesIO()
    torch.save(what, file)
    return file.getvalue()


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> dict[str, bytes]:
    """The members of a harmless program."""
    path = tmp_path_factory.mktemp("exported") / "model.pt2"
    module = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).eval()
    RUNTIMES["torch"].export(Work(copy.deepcopy(module)), INPUTS, INPUTS, path)
    check_program(path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def in_the_inputs(members: dict[str, bytes]) -> dict[str, bytes]:
    return members | {"archive/data/sample_inputs/model.pt": saved(((Runs(),), {}))}


def in_a_weight(members: dict[str, bytes]) -> dict[str, bytes]:
    name = "archive/data/weights/model_weights_config.json"
    told = json.loads(members[name])
    told["config"]["1.bias"]["use_pickle"] = True
    return members | {name: json.dumps(told).encode(), "archive/data/weights/weight_1": saved(Runs())}


def in_a_constant(members: dict[str, bytes]) -> dict[str, bytes]:
    name = "archive/data/constants/model_constants_config.json"
    entry = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None}
    told = {"config": {"thing": entry}}
    return members | {
        name: json.dumps(told).encode(),
        "archive/data/constants/opaque_obj_0": pickle.dumps(Runs()),
    }


def in_old_weights(members: dict[str, bytes]) -> dict[str, bytes]:
    return members | {"archive/data/weights/model.pt": saved(Runs())}


def beside_an_old_program(members: dict[str, bytes]) -> dict[str, bytes]:
    return members | {"version": b"8.20", "serialized_state_dict.json": saved(Runs())}


HIDDEN = [in_the_inputs, in_a_weight, in_a_constant, in_old_weights, beside_an_old_program]


@pytest.mark.parametrize("hide", HIDDEN)
@pytest.mark.parametrize("name", ["torch", "sparse"])
def test_a_hidden_pickle_is_refused_and_not_run(name: str, hide: Callable, program, tmp_path: Path) -> None:
    members = program | ({"archive/extra/sparse.json": b"{}"} if name == "sparse" else {})
    path = write(tmp_path / "model.pt2", hide(members))
    os.environ.pop(RAN, None)
    with pytest.raises(WorkbenchError, match=r"model\.pt2 holds what could run code when it is read: ") as refusal:
        RUNTIMES[name].load(path)
    assert refusal.value.hint == "Export it again from the model itself."
    assert RAN not in os.environ


def test_pytorch_itself_would_run_it(program, tmp_path: Path) -> None:
    os.environ.pop(RAN, None)
    with quiet():
        torch.export.load(write(tmp_path / "model.pt2", in_the_inputs(program)))
    assert os.environ.pop(RAN, None), "if this fails, PyTorch has become safe and the check can go"


def test_looking_inside_refuses_it_too(program, tmp_path: Path) -> None:
    path = write(tmp_path / "model.pt2", in_the_inputs(program))
    os.environ.pop(RAN, None)
    for look in (RUNTIMES["torch"].profile, RUNTIMES["torch"].activations):
        with pytest.raises(WorkbenchError, match="could run code"):
            look(path, INPUTS)
    assert RAN not in os.environ


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(program, tmp_path: Path) -> None:
    path = write(tmp_path / "model.pt2", in_the_inputs(program))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/data/sample_inputs/model.pt", program["archive/data/sample_inputs/model.pt"])
    with pytest.raises(WorkbenchError, match="two files of one name"):
        load_program(path)


def test_a_harmless_program_is_opened(program, tmp_path: Path) -> None:
    path = write(tmp_path / "model.pt2", program)
    assert RUNTIMES["torch"].load(path)(INPUTS).shape == (2, 3)
