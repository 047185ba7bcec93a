"""The table of rules: what is refused says why and what to do, and what is legal says what its order means."""

import itertools

import pytest

from workbench import Distill, Finetune, Prune, Quantize, Recipe, ShareWeights, Slim, Sparsify, WorkbenchError
from workbench.rules import RULES

BINARY = Quantize(weight_bits=1, simulate=True)
SINGLE = Prune(granularity="weight")
PATTERN = Prune(granularity="n:m")
LOTTERY = Sparsify(method="lottery", fresh=True)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.first}-{rule.later}")
def test_each_rule_speaks_in_sentences(rule):
    assert rule.says.endswith(".")
    assert not rule.hint or rule.hint.endswith(".")


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([Quantize(), Quantize()], "Quantize can't follow Quantize: the weights lie on a grid already"),
        ([Quantize(), Finetune(), Quantize()], "Quantize can't follow Quantize"),
        ([SINGLE, BINARY], "Quantize can't follow Prune: one bit knows no zero"),
        ([SINGLE, Finetune(), BINARY], "Quantize can't follow Prune: one bit knows no zero"),
        ([BINARY, Finetune(), SINGLE], "Prune can't follow Quantize: one bit knows no zero"),
        ([SINGLE, Quantize(layers={"conv1": 1})], "one bit knows no zero"),
        ([Prune(), Distill(student="lenet300")], "Distill can't follow Prune: a student of another architecture"),
        ([SINGLE, Distill(fresh=True)], "Distill can't follow Prune: fresh weights would undo"),
        ([Quantize(), Distill(fresh=True)], "Distill can't follow Quantize: fresh weights would undo"),
        ([ShareWeights(), LOTTERY], "Sparsify can't follow ShareWeights: fresh weights would undo"),
        ([Quantize(), LOTTERY], "Sparsify can't follow Quantize: fresh weights would undo"),
        ([PATTERN, Prune()], "Prune can't follow Prune: what it cuts out would leave groups of M weights"),
        ([PATTERN, Finetune(), Prune(granularity="mlp")], "Prune can't follow Prune: what it cuts out"),
        ([PATTERN, Slim()], "Slim can't follow Prune: what it cuts out would leave groups of M weights"),
        ([Sparsify(), Finetune(), LOTTERY], "Sparsify can't follow Sparsify: fresh weights would undo"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason_and_a_way_out(steps, said):
    with pytest.raises(WorkbenchError, match=said) as refusal:
        Recipe(steps)
    assert refusal.value.hint


@pytest.mark.parametrize("steps", list(itertools.permutations([Prune(), Quantize(), Distill()])))
def test_pruning_quantizing_and_distilling_compose_in_any_order(steps):
    assert Recipe(steps).steps == steps


@pytest.mark.parametrize(
    "steps",
    [
        [Prune(), BINARY],
        [BINARY, Prune()],
        [SINGLE, Quantize(weight_bits=2)],
        [Prune(), Distill(fresh=True)],
        [Prune(), LOTTERY],
        [Prune(), PATTERN],
        [PATTERN, Prune(granularity="block", importance="l1")],
        [ShareWeights(), Sparsify(method="lottery")],
        [ShareWeights(), Sparsify(fresh=True)],  # only the lottery looks at it
        [Distill(student="lenet300"), Prune()],
    ],
)
def test_what_only_looks_like_a_forbidden_order_is_legal(steps):
    assert len(Recipe(steps)) == 2


def test_the_order_means_something_and_the_recipe_says_it():
    aware, after = Recipe([Prune(), Quantize(), Distill()]), Recipe([Prune(), Distill(), Quantize()])
    assert any("Distill after Quantize is quantization-aware" in sentence for sentence in aware.meaning)
    assert any("Quantize after Distill rounds what was trained" in sentence for sentence in after.meaning)
    assert Recipe([Prune()]).meaning == []


def test_each_meaning_is_said_once():
    meaning = Recipe([Quantize(), Finetune(), Finetune()]).meaning
    assert len(meaning) == len(set(meaning)) == 1
