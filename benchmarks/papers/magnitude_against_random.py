"""Magnitude against random pruning of single weights, with and without fine-tuning, on whole MNIST: test accuracy.

    python benchmarks/papers/magnitude_against_random.py --model lenet300 --seeds 3

Han et al. (2015, arXiv 1506.02626, table 1) prune LeNet-300-100 and LeNet-5 by magnitude to a twelfth of their weights
and, after training again, lose nothing: errors of 1.59 % (was 1.64 %) and 0.77 % (was 0.80 %). Blalock et al. (2020,
arXiv 2003.03033) survey 81 papers: the usual finding is that magnitude beats chance, and that training again pays.
The baseline is the zoo's own model; a share is removed from the whole model at once, and the fine-tuning is one of a
single step, without Han's rounds.
"""

import copy
from statistics import mean

import torch
import typer
from torch import nn

from workbench import Dataset, Finetune, Prune, Recipe
from workbench.data import load_dataset
from workbench.models import MODELS, load_model
from workbench.steps.base import Context, Work
from workbench.training import accuracy

RATIOS = 0.5, 0.7, 0.9, 0.95
CLAIM = "magnitude > random"


def main(model: str = "lenet300", seeds: int = 3, epochs: int = 1, threads: int = 1) -> None:
    """Print the table, one row after the other as it is reached."""
    torch.set_num_threads(threads)
    dataset = load_dataset("mnist")
    module = load_model(model, dataset)
    before = reached(module, dataset)
    print(f"{MODELS[model].title} on MNIST, unpruned: {before:.2%} right of {len(dataset.test):,} test digits.")
    print(f"Means over {seeds} seeds (lowest to highest); {epochs} epoch(s) of fine-tuning.\n")
    print("| removed | then | papers | magnitude | random | as the papers say | command |")
    print("|---|---|---|---|---|---|---|")
    for ratio in RATIOS:
        for after in ([], [Finetune(epochs=epochs)]):
            columns = {}
            for importance in ("l2", "random"):
                pruning = Prune(granularity="weight", scope="global", ratio=ratio, importance=importance)
                recipes = [Recipe([pruning, *after], seed) for seed in range(seeds)]
                columns[importance] = [reached(carried_out(recipe, module, dataset), dataset) for recipe in recipes]
            holds = min(columns["l2"]) > max(columns["random"])
            then = "fine-tuned" if after else "as it is"
            print(
                f"| {ratio:.0%} | {then} | {CLAIM} | {said(columns['l2'])} | {said(columns['random'])} | "
                f"{'yes, for every seed' if holds else 'no'} | `{command(model, ratio, epochs if after else 0)}` |",
                flush=True,
            )


def carried_out(recipe: Recipe, module: nn.Module, dataset: Dataset) -> nn.Module:
    """The module after the recipe's steps; the one given stays as it is."""
    work = Work(copy.deepcopy(module))
    for step in recipe:
        torch.manual_seed(recipe.seed)
        step.apply(work, Context(dataset, module, recipe.seed))
    return work.module


def reached(module: nn.Module, dataset: Dataset) -> float:
    """Accuracy on the test split, which no choice here is made by."""
    assert dataset.test is not None
    return accuracy(module, dataset, dataset.test)


def said(values: list[float]) -> str:
    """A mean in per cent, with its range where there is one."""
    low, high = min(values), max(values)
    return f"{mean(values):.2%}" + (f" ({low:.2%} to {high:.2%})" if low < high else "")


def command(model: str, ratio: float, epochs: int) -> str:
    """How to do one cell of the row (magnitude, seed 0) on the command line."""
    prune = f'--step "prune granularity=weight scope=global ratio={ratio} importance=l2"'
    finetune = f' --step "finetune epochs={epochs}"' if epochs else ""
    return f"workbench run --model {model} --dataset mnist {prune}{finetune}"


if __name__ == "__main__":
    typer.run(main)
