"""The order of pruning, quantizing and distilling: what each of the six gives, and what the recipe says that it means.

    python benchmarks/papers/order.py --seeds 3

Han et al. (Deep Compression, 2016, arXiv 1510.00149) prune first and quantize then; Polino et al. (2018, arXiv
1802.05668) distil while the weights lie on their grid. Every order here has the same three steps with the same knobs,
starts from the zoo's model and is judged on the test split.
"""

from dataclasses import replace
from itertools import permutations

import torch
import typer
from magnitude_against_random import carried_out, reached, said

from workbench import Distill, Prune, Quantize, Recipe
from workbench.data import load_dataset
from workbench.models import MODELS, fitted, load_model

PAPER = ("Prune", "Quantize", "Distill")


def main(
    model: str = "lenet5",
    dataset: str = "fashion_mnist",
    ratio: float = 0.5,
    bits: int = 4,
    seeds: int = 3,
    epochs: int = 2,
    samples: int = 0,
    threads: int = 1,
) -> None:
    """Print the table, one row after the other as it is reached; with so many training samples, 0 being all."""
    torch.set_num_threads(threads)
    data = fitted(model, load_dataset(dataset))
    if samples:
        data = replace(data, train=(data.train.inputs[:samples], data.train.labels[:samples]))
    module = load_model(model, data)
    print(f"{MODELS[model].title} on {dataset}: {reached(module, data):.2%} right of {len(data.test):,} test samples.")
    print(f"{ratio:.0%} of the channels pruned, {bits} bits (simulated), {epochs} epoch(s) of distillation on")
    print(f"{len(data.train):,} samples; means over {seeds} seeds (lowest to highest).\n")
    print("| order | paper | ours | what it means |")
    print("|---|---|---|---|")
    steps = Prune(ratio=ratio), Quantize(weight_bits=bits, activation_bits=bits, simulate=True), Distill(epochs=epochs)
    for order in permutations(steps):
        names = tuple(type(step).__name__ for step in order)
        found = [reached(carried_out(Recipe(order, seed), module, data), data) for seed in range(seeds)]
        paper = "as in the papers" if names == PAPER else ""
        print(f"| {', '.join(names)} | {paper} | {said(found)} | {' '.join(Recipe(order).meaning)} |", flush=True)
    named = " ".join(f'--step "{step}"' for step in (f"prune ratio={ratio}", *_commands(bits, epochs)))
    print(f"\nThe first row, seed 0: `workbench run --model {model} --dataset {dataset} {named}`")


def _commands(bits: int, epochs: int) -> tuple[str, str]:
    return f"quantize weight_bits={bits} activation_bits={bits} simulate=true", f"distill epochs={epochs}"


if __name__ == "__main__":
    typer.run(main)
