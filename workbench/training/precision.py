"""Mixed precision: bfloat16 where autocast knows it to be safe, and whether that is any faster here."""

import copy
import time
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

ROUNDS = 5  # of one update each way; the first is a warm-up
PAYS = 0.95  # of the time in float32, at most


class Precision(NamedTuple):
    """What training computes with, and a sentence on what was measured, if anything was."""

    bfloat16: bool
    sentence: str = ""

    def computing(self, device: str) -> AbstractContextManager:
        """Inside, layers compute as decided."""
        return torch.autocast(torch.device(device).type, torch.bfloat16) if self.bfloat16 else nullcontext()


def decide(wanted: str, module: nn.Module, inputs: Tensor, device: str) -> Precision:
    """Whether to train in bfloat16: measured on a few updates of a copy, unless float32 is wanted anyway.

    Parameters
    ----------
    wanted : {"float32", "bfloat16", "fastest"}
        "bfloat16" is taken at its word, and told if it is slow; "fastest" goes by the measurement.
    """
    if wanted == "float32":
        return Precision(False)
    ratio = measure(module, inputs, device)
    said = f"Here an update with bfloat16 autocast takes {ratio:.2f} times as long as one in float32"
    if wanted == "bfloat16":
        return Precision(True, f"{said}: precision float32 trains faster." if ratio >= 1 else f"{said}.")
    if ratio < PAYS:
        return Precision(True, f"{said}, so training used it. (precision: bfloat16 repeats this exactly.)")
    return Precision(False, f"{said}, so training stayed in float32. (precision: float32 repeats this exactly.)")


def measure(module: nn.Module, inputs: Tensor, device: str) -> float:
    """The time of a forward and backward pass in bfloat16 over that in float32: the median of pairs."""
    module, inputs = copy.deepcopy(module).train(), inputs.to(device)

    def seconds(bfloat16: bool) -> float:
        start = time.perf_counter()
        with Precision(bfloat16).computing(device):
            outputs = module(inputs)
        outputs.float().square().mean().backward()
        module.zero_grad()
        if torch.device(device).type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    with torch.random.fork_rng():  # dropout draws, and must not disturb the training to come
        pairs = []
        for turn in range(ROUNDS):
            timed = {way: seconds(way) for way in ((True, False) if turn % 2 else (False, True))}
            pairs.append(timed[True] / timed[False])
    return float(np.median(pairs[1:]))
