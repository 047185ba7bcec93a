"""Temperature against bit-width: where distillation helps a low-bit model in training, and where it hurts.

    python benchmarks/papers/temperature_bits.py --samples 6000 --epochs 4 --seeds 3

Mishra and Marr (Apprentice, 2018, arXiv 1711.05852) and Polino et al. (2018, arXiv 1802.05668) gain by distilling into
networks of 2 to 4 bits, and the more the fewer the bits; Kim et al. (QKD, 2019, arXiv 1911.12491) find that it can hurt
a student that has just lost its bits. Here the zoo's model is rounded to so many bits for weights and activations and
trained further with learned scales, from the labels alone or with the unrounded model as its teacher; every cell of a
row and seed starts from the same weights and sees the same batches. A cell tells the gain in points of test accuracy
over labels alone, seed by seed: it helps, or hurts, if it does so for every seed.
"""

from dataclasses import replace

import torch
import typer
from magnitude_against_random import carried_out, reached, said

from workbench import Distill, Quantize, Recipe
from workbench.data import load_dataset
from workbench.models import MODELS, fitted, load_model

BITS = 8, 4, 2, 1
TEMPERATURES = 1.0, 2.0, 4.0, 8.0, 16.0
PAPER = "helps (Apprentice, Polino et al.); can hurt (QKD)"


def main(
    model: str = "lenet5",
    dataset: str = "fashion_mnist",
    seeds: int = 3,
    epochs: int = 1,
    learning_rate: float = 0.001,
    alpha: float = 0.7,
    threads: int = 1,
    samples: int = 0,
    bits: str = ",".join(map(str, BITS)),
    temperatures: str = ",".join(f"{t:g}" for t in TEMPERATURES),
) -> None:
    """Print the table, one row after the other as it is reached; with so many training samples, 0 being all."""
    torch.set_num_threads(threads)
    data = fitted(model, load_dataset(dataset))
    if samples:
        data = replace(data, train=(data.train.inputs[:samples], data.train.labels[:samples]))
    widths, warmths = [int(b) for b in bits.split(",")], [float(t) for t in temperatures.split(",")]
    teacher = load_model(model, data)

    def tried(bits: int, temperature: float, weight: float) -> list[float]:
        rounding = Quantize(weight_bits=bits, activation_bits=bits, simulate=True)
        taught = Distill(epochs=epochs, learning_rate=learning_rate, temperature=temperature, alpha=weight)
        return [reached(carried_out(Recipe([rounding, taught], seed), teacher, data), data) for seed in range(seeds)]

    def command(bits: int) -> str:
        rounding = f"quantize weight_bits={bits} activation_bits={bits} simulate=true"
        taught = f"distill epochs={epochs} alpha={alpha} temperature={warmths[0]:g}"
        return f'`workbench run --model {model} --dataset {dataset} --step "{rounding}" --step "{taught}"`'

    print(f"{MODELS[model].title} on {dataset}, unrounded: {reached(teacher, data):.2%} right of {len(data.test):,}.")
    print(f"{epochs} epoch(s) of training after rounding, on {len(data.train):,} samples, learning rate")
    print(f"{learning_rate:g}, alpha {alpha:g}; {seeds} seed(s); simulated bits.\n")
    print("| bits | papers | labels alone | " + " | ".join(f"temperature {t:g}" for t in warmths) + " | command |")
    print("|---|---|---|---|" + "---|" * len(warmths), flush=True)
    for width in widths:
        alone = tried(width, 1.0, 0.0)
        cells = [judged(tried(width, temperature, alpha), alone) for temperature in warmths]
        print(f"| {width} | {PAPER} | {said(alone)} | {' | '.join(cells)} | {command(width)} |", flush=True)


def judged(found: list[float], alone: list[float]) -> str:
    """The gains over training with labels alone, and whether they agree."""
    gains = [100 * (ours - theirs) for ours, theirs in zip(found, alone, strict=True)]
    verdict = "helps" if min(gains) > 0 else "hurts" if max(gains) < 0 else "unclear"
    return f"{verdict}: {' '.join(f'{gain:+.2f}' for gain in gains)}"


if __name__ == "__main__":
    typer.run(main)
