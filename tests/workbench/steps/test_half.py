"""Half: the same model in 16-bit floats, on every runtime that has them."""

import numpy as np
import pytest
import torch

from workbench import Finetune, Half, Pack, Prune, Quantize, Recipe, ShareWeights, WorkbenchError
from workbench.machine import lacks_half
from workbench.runtimes import RUNTIMES
from workbench.steps.base import Context, Work

FORMATS = [
    pytest.param(runtime, kind, id=f"{runtime.name}-{kind}") for runtime in RUNTIMES.values() for kind in runtime.floats
]
STEPS = {"float16": 2**-11, "bfloat16": 2**-8}  # half the distance between neighbours, as a share of the value


@pytest.mark.parametrize(("kind", "step"), STEPS.items())
def test_every_weight_is_the_nearest_of_16_bits(kind, step, lenet5, digits):
    before = {name: p.detach().clone() for name, p in lenet5.named_parameters()}
    work = Work(lenet5)
    Half(format=kind).apply(work, Context(digits, lenet5))
    assert work.precision == kind
    for name, p in work.module.named_parameters():
        assert torch.equal(p, p.to(getattr(torch, kind)).float())
        assert ((p - before[name]).abs() <= step * before[name].abs() + 1e-7).all()


@pytest.mark.parametrize(("runtime", "kind"), FORMATS)
def test_the_file_is_half_as_large_and_gives_nearly_the_same(runtime, kind, lenet5, digits, tmp_path):
    inputs = digits.prepare(digits.validation.inputs[:50])
    wide, narrow = tmp_path / f"wide{runtime.suffix}", tmp_path / f"narrow{runtime.suffix}"
    work = Work(lenet5)
    runtime.export(work, inputs[:2], inputs, wide)
    Half(format=kind).apply(work, Context(digits, lenet5, runtime=runtime))
    runtime.export(work, inputs[:2], inputs, narrow)
    assert narrow.stat().st_size < 0.55 * wide.stat().st_size
    expected, got = runtime.load(wide)(inputs), runtime.load(narrow)(inputs)
    assert got.dtype == np.float32
    assert 0 < np.abs(got - expected).max() < 10 * STEPS[kind] * np.abs(expected).max()
    assert np.allclose(runtime.load(narrow)(inputs[:1]), got[:1], atol=20 * STEPS[kind])


def test_a_format_that_the_runtime_has_not_is_refused_before_any_work(digits, lenet5):
    context = Context(digits, lenet5, runtime=RUNTIMES["onnxruntime"])
    with pytest.raises(WorkbenchError, match=r"'onnxruntime' does not run bfloat16\. It runs: float16"):
        Half(format="bfloat16").check(context)


def test_what_float16_cannot_hold_is_named(lenet5, digits):
    with torch.no_grad():
        next(lenet5.parameters()).view(-1)[0] = 1e5
    with pytest.raises(WorkbenchError, match=r"weight holds values above 65504, which float16 can't\. Choose bfloat16"):
        Half().apply(Work(lenet5), Context(digits, lenet5))


@pytest.mark.parametrize(
    ("flags", "kind", "told"),
    [
        ({"avx2", "avx512_fp16"}, "float16", False),
        ({"avx2", "avx512_fp16"}, "bfloat16", True),
        ({"avx2", "f16c", "avx512_vnni"}, "float16", True),
        ({"asimd", "bf16"}, "bfloat16", False),
        (set(), "float16", False),  # a machine that doesn't say
    ],
)
def test_a_processor_without_such_arithmetic_is_told(flags, kind, told, lenet5, digits, monkeypatch):
    monkeypatch.setattr("workbench.machine.processor_flags", lambda: frozenset(flags))
    work = Work(lenet5)
    Half(format=kind).apply(work, Context(digits, lenet5))
    assert any(f"none of the instructions for {kind}" in note for note in work.notes) == told


def test_a_gpu_without_such_arithmetic_is_told(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation=True: including_emulation)
    assert lacks_half("bfloat16", "cuda") == "this GPU has no bfloat16 arithmetic"
    assert lacks_half("float16", "cuda") == ""


@pytest.mark.parametrize(
    "steps",
    [
        (Half(), Finetune()),
        (Half(), Prune()),
        (Half(), Pack()),
        (Quantize(), Half()),
        (ShareWeights(), Half()),
        (Pack(), Half()),
    ],
    ids=str,
)
def test_it_ends_a_recipe_and_stands_alone(steps):
    with pytest.raises(WorkbenchError, match="can't follow"):
        Recipe(steps)
