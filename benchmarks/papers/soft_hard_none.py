"""Soft against hard against no distillation, for a student of a quarter of the teacher's size: test accuracy.

    python benchmarks/papers/soft_hard_none.py --seeds 3

Hinton et al. (2015, arXiv 1503.02531, section 3) train a small net on MNIST alone to 146 errors, and with the soft
targets of a large one to 74; hard targets are what they improve on. Here the teacher is the zoo's model, the student is
the teacher with half of the channels of each layer, a quarter of the parameters, and fresh weights. Every student of a
seed starts from the same weights and sees the same batches; all that differs is the loss.
"""

import torch
import typer
from magnitude_against_random import carried_out, reached, said

from workbench import Distill, Prune, Recipe
from workbench.data import load_dataset
from workbench.models import MODELS, fitted, load_model

KINDS = {  # what the student learns from, the knobs that say so, and what the paper reached with it
    "labels only": ({"alpha": 0.0}, "146 errors"),
    "hard": ({"targets": "hard"}, ""),
    "soft": ({"targets": "soft"}, "74 errors"),
    "soft+hard": ({"targets": "soft+hard"}, ""),
}


def main(
    model: str = "lenet5",
    dataset: str = "fashion_mnist",
    seeds: int = 3,
    epochs: int = 5,
    learning_rate: float = 0.002,
    temperature: float = 4.0,
    threads: int = 1,
) -> None:
    """Print the table, one row after the other as it is reached."""
    torch.set_num_threads(threads)
    data = fitted(model, load_dataset(dataset))
    teacher = load_model(model, data)
    common = {"fresh": True, "epochs": epochs, "learning_rate": learning_rate, "temperature": temperature}
    print(f"{MODELS[model].title} on {dataset} teaches: {reached(teacher, data):.2%} right of {len(data.test):,}.")
    print(f"Students train {epochs} epochs; means over {seeds} seeds (lowest to highest).\n")
    print(
        "| the student learns from | paper (MNIST, teacher 67 errors) | parameters | test accuracy | "
        "over labels only, seed by seed | command (seed 0) |"
    )
    print("|---|---|---|---|---|---|")
    alone: list[float] = []
    for kind, (knobs, paper) in KINDS.items():
        recipes = [Recipe([Prune(ratio=0.5), Distill(**common, **knobs)], seed) for seed in range(seeds)]
        students = [carried_out(recipe, teacher, data) for recipe in recipes]
        found = [reached(student, data) for student in students]
        alone = alone or found
        share = sum(p.numel() for p in students[0].parameters()) / sum(p.numel() for p in teacher.parameters())
        gained = " ".join(f"{100 * (ours - theirs):+.2f}" for ours, theirs in zip(found, alone, strict=True))
        told = " ".join(f"{name}={value}" for name, value in {**common, **knobs}.items())
        command = f'workbench run --model {model} --dataset {dataset} --step "prune ratio=0.5" --step "distill {told}"'
        print(f"| {kind} | {paper} | {share:.0%} | {said(found)} | {gained} | `{command}` |", flush=True)


if __name__ == "__main__":
    typer.run(main)
