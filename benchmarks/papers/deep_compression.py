"""Deep Compression (Han et al. 2016, tables 1 to 3) on MNIST: bytes of the packed file against 32-bit floats.

The recipe is the paper's: prune by magnitude in rounds, train, share weights, train the shared values, code the
entropy. Its figures were chosen on the validation split; the test split is opened once for each trained file, at the
end. "Times smaller" is against 4 bytes for each parameter, as in the paper, and against the .onnx file of the zoo's
model. The second table codes the very same tensors in other ways: that of the paper (Huffman codes of the gaps between
weights and of their indices), Huffman codes of all symbols, and the entropy, the least that any coder can take who
knows each symbol's frequency and nothing else. The packed file goes below it, as zeros cluster.
"""

import heapq
import os
import tempfile
from collections import Counter
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

import workbench as wb
from workbench import Finetune, Pack, Prune, Recipe, ShareWeights
from workbench.packing import unpack
from workbench.packing.writing import smallest
from workbench.steps import Step

PAPER = {"lenet300": (40, 1.64, 1.58), "lenet5": (39, 0.80, 0.74)}
"""Times smaller, and the error in per cent before and after."""


@dataclass(frozen=True)
class Plan:
    """How a model is compressed.

    Attributes
    ----------
    first : int
        Epochs of training before anything is removed.
    rounds : list of (float, int)
        Share of the weights removed in all, and epochs of training after it.
    bits, conv_bits : int
        Of the indices of shared values.
    last : int
        Epochs of training of the shared values.
    more : dict
        Further knobs of every training.
    """

    first: int
    rounds: list[tuple[float, int]]
    bits: int
    conv_bits: int
    last: int
    more: dict[str, Any]


TURNED = {"augment": "affine", "average": 0.999}
PLANS = {
    "lenet300": [Plan(0, [(0.8, 2), (0.9, 3), (0.935, 8)], 4, 8, 4, {})],
    "lenet5": [
        Plan(6, [(0.8, 3), (0.905, 10)], 4, 5, 3, TURNED),
        Plan(6, [(0.8, 3), (0.93, 12)], 4, 5, 4, TURNED),
    ],
}


def recipe(plan: Plan, seed: int) -> Recipe:
    """Prune in rounds, share, train after each."""

    def training(epochs: int, rate: float) -> Finetune:
        return Finetune(epochs=epochs, learning_rate=rate, weight_decay=0.0, **plan.more)

    steps: list[Step] = [training(plan.first, 0.002)] if plan.first else []
    for ratio, epochs in plan.rounds:
        steps += [
            Prune(ratio=ratio, granularity="weight", importance="l1", scope="global"),
            training(epochs, 0.002),
        ]
    shared = ShareWeights(bits=plan.bits, conv_bits=plan.conv_bits)
    return Recipe([*steps, shared, training(plan.last, 0.001), Pack()], seed)


def huffman(symbols: np.ndarray) -> float:
    """Bytes of a Huffman code of these symbols, its table left out."""
    heap = [(count, index, (symbol,)) for index, (symbol, count) in enumerate(Counter(symbols.tolist()).items())]
    heapq.heapify(heap)
    bits, index = 0, len(heap)
    while len(heap) > 1:
        (a, _, left), (b, _, right) = heapq.heappop(heap), heapq.heappop(heap)
        bits, index = bits + a + b, index + 1
        heapq.heappush(heap, (a + b, index, left + right))
    return bits / 8


def han(array: np.ndarray, gap_bits: int) -> float:
    """Bytes in the paper's form: the gaps between weights that are left, and their symbols, both in Huffman codes."""
    flat, gaps, symbols, last = array.ravel(), [], [], -1
    for place in np.flatnonzero(flat):
        while place - last > 2**gap_bits:
            gaps.append(2**gap_bits - 1)
            symbols.append(0.0)  # a filler
            last += 2**gap_bits
        gaps.append(place - last - 1)
        symbols.append(flat[place])
        last = place
    return huffman(np.array(gaps)) + huffman(np.array(symbols)) + 4 * len(set(symbols))


def ours(array: np.ndarray) -> float:
    """Bytes of the tensor in the packed file."""
    return len(smallest(array)[1])


def entropy(array: np.ndarray) -> float:
    """Bytes that a perfect coder takes who knows each symbol's frequency, and nothing else."""
    counts = np.unique(array, return_counts=True)[1]
    return float(-(counts * np.log2(counts / counts.sum())).sum() / 8)


def huffman_and_codebook(array: np.ndarray) -> float:
    """Bytes of a Huffman code of all symbols, zeros among them, and of their values."""
    return huffman(array.ravel()) + 4 * len(np.unique(array))


def best_han(array: np.ndarray) -> float:
    """`han` with the bits for gaps that suit this tensor best."""
    return min(han(array, bits) for bits in range(2, 9))


WAYS = {"gaps + Huffman (paper)": best_han, "Huffman": huffman_and_codebook, "entropy": entropy, "ours": ours}


def main(models: Annotated[list[str] | None, typer.Argument()] = None, seeds: int = 3, plan: int = -1) -> None:
    """Carry the recipes out and print both tables, on one core: minutes for each model, plan (all by default), seed."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, [max(os.sched_getaffinity(0))])  # training takes all processors that it may use
    errors = Table(title="Deep Compression: MNIST, 10,000 test digits")
    for column in ("model", "seed", "", "error before", "error after", "bytes", "of 4 B/parameter", "of the .onnx"):
        errors.add_column(column)
    coders = Table(title="The same weight tensors, coded in several ways (bytes, without biases and graph)")
    for column in ("model", "seed", *WAYS):
        coders.add_column(column)
    for model in models or list(PAPER):
        times, before, after = PAPER[model]
        errors.add_row(model, "", "paper", f"{before:.2f} %", f"{after:.2f} %", "", f"{times}x", "")
        plans = PLANS[model] if plan < 0 else [PLANS[model][plan]]
        for (index, chosen), seed in product(enumerate(plans, max(plan, 0)), range(seeds)):
            first, last, weights = compressed(model, chosen, seed)
            size = last.size_bytes
            smaller = [f"{whole / size:.1f}x" for whole in (4 * first.parameters, first.size_bytes)]
            shown = [f"{1 - metrics.score.value:.2%}" for metrics in (first, last)]
            told = f"ours, plan {index}, {1 - chosen.rounds[-1][0]:.1%} kept"
            errors.add_row(model, str(seed), told, *shown, f"{size:,}", *smaller)
            print(f"{model} seed {seed}, {told}: error {shown[1]}, before {shown[0]}, {smaller[0]} smaller")
            command = f"python benchmarks/papers/deep_compression.py {model} --plan {index} --seeds {seed + 1}"
            print(f"    (its command: {command})", flush=True)
            coders.add_row(model, str(seed), *(f"{sum(map(way, weights)):,.0f}" for way in WAYS.values()))
    Console(width=120).print(errors, coders)


def compressed(model: str, plan: Plan, seed: int) -> tuple[wb.Metrics, wb.Metrics, list[np.ndarray]]:
    """The baseline and the compressed file on the test split, and the file's weight tensors."""
    with tempfile.TemporaryDirectory() as folder:
        study = wb.Study(model, "mnist", path=Path(folder, "study"))
        trial = study.run(recipe(plan, seed))
        if trial.artifact is None:
            raise SystemExit(trial.reason)
        print(trial.recipe.describe(), *trial.sentences(), sep="\n", flush=True)
        _, weights = unpack(trial.artifact.read_bytes())
        return study.test(study.baseline), study.test(trial), [array for array in weights.values() if array.ndim > 1]


if __name__ == "__main__":
    typer.run(main)
