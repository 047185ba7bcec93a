"""Weights on disk: exact, never a pickle, and refused in a sentence where they are not whole."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from workbench import WorkbenchError
from workbench.weights import load_weights, save_weights, weight_hash


def _small(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 3)).eval()


class Payload:
    """Unpickled by a careless reader, it makes a folder."""

    def __init__(self, target: Path):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_weights_come_back_exactly(tmp_path, suffix):
    module, again = _small(), _small(seed=1)
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pt":
        torch.save(module.state_dict(), path)
    else:
        save_weights(module, path)
    assert weight_hash(again) != weight_hash(module)
    load_weights(again, path)
    assert weight_hash(again) == weight_hash(module)


def test_layers_that_share_a_weight_are_saved(tmp_path):
    def tied() -> nn.Module:
        module = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
        module[2].weight = module[0].weight
        return module

    module, again = tied(), tied()
    save_weights(module, tmp_path / "tied.safetensors")
    load_weights(again, tmp_path / "tied.safetensors")
    assert weight_hash(again) == weight_hash(module)


def test_the_hash_sees_a_single_bit_a_name_a_shape_and_a_dtype():
    module = _small()
    hashes = {weight_hash(module), weight_hash(module.double())}
    module.float()
    with torch.no_grad():
        module[0].weight.view(torch.int32)[0, 0, 0, 0] ^= 1
    hashes.add(weight_hash(module))
    hashes.add(weight_hash(nn.Linear(2, 3, bias=False)))
    hashes.add(weight_hash(nn.Linear(3, 2, bias=False)))
    hashes.add(weight_hash(nn.ModuleDict({"a": _small()})))
    hashes.add(weight_hash(nn.ModuleDict({"b": _small()})))
    assert len(hashes) == 7


def test_weights_of_every_dtype_have_a_hash():
    assert weight_hash(_small().bfloat16()) != weight_hash(_small().half())


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@given(share=st.floats(0, 0.999))
def test_a_file_cut_anywhere_is_refused(tmp_path_factory, suffix, share):
    path = tmp_path_factory.mktemp("cut") / f"weights{suffix}"
    save_weights(_small(), path) if suffix == ".safetensors" else torch.save(_small().state_dict(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(WorkbenchError, match=f"weights{suffix} can't be read"):
        load_weights(_small(), path)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@given(content=st.binary(max_size=200))
def test_any_bytes_at_all_are_refused(tmp_path_factory, suffix, content):
    path = tmp_path_factory.mktemp("any") / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(WorkbenchError, match="can't be read"):
        load_weights(_small(), path)


def test_code_in_a_weights_file_is_refused_and_never_runs(tmp_path):
    target = tmp_path / "made-by-the-payload"
    torch.save({"weight": Payload(target)}, tmp_path / "evil.pt")
    with pytest.raises(WorkbenchError, match=r"evil\.pt can't be read: .* holds more than weights"):
        load_weights(_small(), tmp_path / "evil.pt")
    assert not target.exists()


def test_a_whole_pickled_model_is_refused(tmp_path):
    torch.save(_small(), tmp_path / "model.pt")
    with pytest.raises(WorkbenchError, match=r"state dict saved with torch\.save\(model\.state_dict\(\)"):
        load_weights(_small(), tmp_path / "model.pt")


@pytest.mark.parametrize("content", [torch.zeros(3), [1, 2], {"weight": 3}, {1: torch.zeros(3)}], ids=repr)
def test_what_is_no_state_dict_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(WorkbenchError, match="not of this architecture"):
        load_weights(nn.Linear(2, 3), tmp_path / "other.pt")


def test_weights_of_another_architecture_are_refused(tmp_path):
    save_weights(nn.Linear(2, 3), tmp_path / "linear.safetensors")
    with pytest.raises(WorkbenchError, match=r"linear\.safetensors are not of this architecture"):
        load_weights(_small(), tmp_path / "linear.safetensors")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_numbers_are_refused(tmp_path, value):
    module = _small()
    with torch.no_grad():
        module[3].weight[0, 0] = value
    save_weights(module, tmp_path / "nan.safetensors")
    with pytest.raises(WorkbenchError, match=r"hold NaN or infinity \(3\.weight\)"):
        load_weights(_small(), tmp_path / "nan.safetensors")


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(WorkbenchError, match="missing"):
        load_weights(_small(), tmp_path / "none.safetensors")
