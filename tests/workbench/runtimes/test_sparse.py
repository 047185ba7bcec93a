"""Sparse products are used where they were measured to be faster, and nowhere else; both is said."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from workbench import Prune, Recipe, Study, WorkbenchError
from workbench.crossover import Crossover, Shape, answer, crossover
from workbench.estimates import Estimate
from workbench.runtimes import RUNTIMES
from workbench.sparse_layers import SparseConv, SparseLinear, load_sparse
from workbench.steps.base import Context, Work

SPARSE, TORCH = RUNTIMES["sparse"], RUNTIMES["torch"]
FASTER, SLOWER = Estimate(value=2.0, low=1.5, high=2.5), Estimate(value=0.5, low=0.4, high=0.6)


def zeroed(module: nn.Module, share: float) -> nn.Module:
    """A copy with so many of its weights zero."""
    module, generator = copy.deepcopy(module), torch.Generator().manual_seed(0)
    for layer in module.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            layer.weight.data[torch.rand(layer.weight.shape, generator=generator) < share] = 0
    return module


@pytest.fixture
def measured(monkeypatch):
    """Sparse pays from 90 % zeros on in linear layers, and never in convolutions."""

    def known(shape: Shape, threads: int = 1, batch: int = 1, whole: bool = False) -> Crossover:
        pays = len(shape.weight) == 2
        return Crossover(shape, threads, batch, ((0.8, SLOWER), (0.9, FASTER if pays else SLOWER)))

    monkeypatch.setattr("workbench.crossover.crossover", known)


@pytest.mark.parametrize("block", [1, 2])
@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize(
    "layer",
    [
        nn.Linear(12, 8),
        nn.Linear(12, 8, bias=False),
        nn.Conv2d(4, 6, 3),
        nn.Conv2d(4, 6, (3, 1), stride=(2, 1), padding=(1, 0), dilation=(2, 1), bias=False),
    ],
    ids=str,
)
def test_a_sparse_layer_computes_what_the_dense_one_does(layer, batch, block):
    layer = zeroed(layer, 0.8)
    if isinstance(layer, nn.Linear):
        sparse, x = SparseLinear(layer.weight, layer.bias, block), torch.randn(batch, 3, 12)
    else:
        sparse = SparseConv(layer.weight, layer.bias, layer.stride, layer.padding, layer.dilation, block)
        x = torch.randn(batch, 4, 9, 8)
    with torch.no_grad():
        assert torch.allclose(sparse(x), layer(x), atol=1e-5)
        assert sparse(x).shape == layer(x).shape


@pytest.mark.parametrize("runtime", [SPARSE], ids=["sparse"])
@pytest.mark.parametrize(("share", "layers"), [(0.0, 0), (0.85, 0), (0.95, 2)])
def test_the_measurement_decides_and_is_told(runtime, share, layers, measured, zoo_lenet5, digits, tmp_path):
    work, inputs = Work(zeroed(zoo_lenet5, share)), digits.prepare(digits.validation.inputs[:20])
    path = tmp_path / "model.pt2"
    runtime.export(work, inputs[:2], inputs, path)
    kinds = [type(part) for part in load_sparse(path).modules()]
    assert kinds.count(SparseLinear) == layers
    assert SparseConv not in kinds
    said = " ".join(work.notes)
    assert ("is computed sparse" in said) == bool(layers)
    assert "is computed dense" in said or "Computed dense, as fewer than 50%" in said
    with torch.no_grad():
        expected = work.module(torch.from_numpy(inputs)).numpy()
    assert np.allclose(runtime.load(path)(inputs), expected, atol=1e-4)


@pytest.mark.parametrize("runtime", [SPARSE], ids=["sparse"])
def test_sparse_convolutions_run_in_a_whole_model_of_any_batch(runtime, monkeypatch, zoo_lenet5, digits, tmp_path):
    monkeypatch.setattr("workbench.crossover.crossover", lambda shape, *_: Crossover(shape, 1, 1, ((0.5, FASTER),)))
    work, inputs = Work(zeroed(zoo_lenet5, 0.9)), digits.prepare(digits.validation.inputs[:20])
    path = tmp_path / "model.pt2"
    runtime.export(work, inputs[:2], inputs, path)
    session = runtime.load(path)
    assert [type(part) for part in load_sparse(path).modules()].count(SparseConv) == 2
    with torch.no_grad():
        expected = work.module(torch.from_numpy(inputs)).numpy()
    for batch in (1, 20):
        assert np.allclose(session(inputs[:batch]), expected[:batch], atol=1e-4)


def test_a_study_chooses_with_its_own_threads_and_batch(monkeypatch, few_digits, tmp_path):
    asked = set()

    def known(shape: Shape, threads: int, batch: int) -> Crossover:
        asked.add((threads, batch))
        return Crossover(shape, threads, batch, ((0.5, FASTER),))

    monkeypatch.setattr("workbench.crossover.crossover", known)
    study = Study("lenet5", few_digits, runtime="sparse", path=tmp_path / "study", threads=2, batch=8)
    trial = study.run(Recipe([Prune(granularity="weight", ratio=0.9)]))
    assert asked == {(2, 8)}
    assert any("(batch 8, 2 threads)" in note for note in trial.notes)
    assert RUNTIMES["sparse"].batch == 1, "other studies have their own"


@pytest.mark.parametrize("runtime", [SPARSE], ids=["sparse"])
@pytest.mark.parametrize("faster", [1, 4], ids=["rows", "blocks"])
def test_zeros_in_blocks_are_tried_as_rows_and_as_blocks(runtime, faster, monkeypatch, zoo_lenet5, digits, tmp_path):
    def known(shape: Shape, threads: int, batch: int) -> Crossover:
        return Crossover(shape, 1, 1, ((0.5, FASTER if shape.block == faster else SLOWER),))

    monkeypatch.setattr("workbench.crossover.crossover", known)
    work, inputs = Work(copy.deepcopy(zoo_lenet5)), digits.prepare(digits.validation.inputs[:20])
    Prune(granularity="weight", block_size=4, layers={"fc1": 0.9}, ratio=0.0).apply(work, Context(digits, zoo_lenet5))
    path = tmp_path / "model.pt2"
    runtime.export(work, inputs[:2], inputs, path)
    (layer,) = [part for part in load_sparse(path).modules() if isinstance(part, SparseLinear)]
    assert layer.weight.layout == (torch.sparse_bsr if faster == 4 else torch.sparse_csr)
    assert ("by blocks (BSR)" if faster == 4 else "by rows (CSR)") in " ".join(work.notes)
    with torch.no_grad():
        expected = work.module(torch.from_numpy(inputs)).numpy()
    for batch in (1, 20):
        assert np.allclose(runtime.load(path)(inputs[:batch]), expected[:batch], atol=1e-4)


def test_a_file_from_before_there_were_blocks_still_opens(zoo_lenet5, digits, tmp_path):
    work, inputs = Work(zeroed(zoo_lenet5, 0.9)), digits.prepare(digits.validation.inputs[:2])
    path = tmp_path / "old.pt2"
    program = TORCH.program(work, inputs)
    torch.export.save(program, path, extra_files={"sparse.json": '["fc1.weight"]'})
    with torch.no_grad():
        assert torch.allclose(
            load_sparse(path)(torch.from_numpy(inputs)), work.module(torch.from_numpy(inputs)), atol=1e-4
        )


def test_a_program_that_names_no_sparse_layers_is_of_another_kind(zoo_lenet5, digits, tmp_path):
    inputs, path = digits.prepare(digits.validation.inputs[:2]), tmp_path / "eager.pt2"
    TORCH.export(Work(copy.deepcopy(zoo_lenet5)), inputs, inputs, path)
    with pytest.raises(WorkbenchError, match=r"it is a torch\.export program .* Choose the runtime 'torch'"):
        SPARSE.load(path)


@pytest.mark.parametrize(
    ("points", "share"),
    [
        (((0.5, SLOWER), (0.9, FASTER), (0.99, FASTER)), 0.9),
        (((0.5, FASTER), (0.9, SLOWER), (0.99, FASTER)), 0.99),  # one lucky figure below is no crossover
        (((0.9, SLOWER), (0.99, SLOWER)), None),
    ],
)
def test_it_crosses_where_sparse_is_faster_from_there_on(points, share):
    found = Crossover(Shape((8, 8), (8,)), 1, 1, points)
    assert found.share == share
    assert found.pays(1.0) == (share is not None)
    assert not found.pays(0.4)
    assert ("was not found to pay" in found.sentence()) == (share is None)


@pytest.mark.parametrize(
    "shape", [Shape((16, 32), (32,)), Shape((4, 3, 3, 3), (3, 8, 8)), Shape((32, 32), (32,), block=8)], ids=str
)
def test_the_curve_is_measured_on_this_machine(shape, monkeypatch):
    monkeypatch.setattr("workbench.crossover.SECONDS", 0.05)
    crossover.cache_clear()
    found = crossover(shape)
    assert 1 <= len(found.points) <= 3
    assert all(speedup.low <= speedup.value <= speedup.high for _, speedup in found.points)
    assert found.sentence().startswith(f"On this machine, for {shape}")
    assert crossover(shape) is found
    crossover.cache_clear()


def test_curves_are_told_as_a_table_with_the_least_share_that_pays() -> None:
    slow, fast = (
        Crossover(Shape((8, n), (n,)), 1, 1, ((0.5, SLOWER), (0.9, e))) for n, e in ((8, SLOWER), (9, FASTER))
    )
    told = answer([slow, fast])
    assert told.sentences == ["Here zeros pay for 1 of 2 shapes of layers, at the earliest from 90%."]
    assert [row["pays from"] for row in told.table] == ["never", "90%"]
    assert told.table[0]["50%"] == f"{SLOWER.value:.2f}x" and told.table[1]["layer"] == "8x9 linear layer on 9"
    assert answer([slow]).sentences == ["Here zeros pay for no shape of layer, up to 90% of them."]
    assert "No layer" in answer([]).sentences[0] and answer([]).table == []
