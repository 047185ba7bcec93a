"""Accuracy-aware quantization: quantize everything, then restore what suffers most until the accuracy holds."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from workbench.errors import WorkbenchError
from workbench.prediction.balanced import balanced
from workbench.prediction.probes import probe
from workbench.recipe import Recipe
from workbench.sensitivity_scan import SAMPLES, logits, sensitivity
from workbench.steps.quantize import FLOATS, Quantize

if TYPE_CHECKING:
    from workbench.study import Study


def accuracy_aware(
    study: "Study", drop: float, step: Quantize | None = None, report: Callable[..., None] = lambda **facts: None
) -> Quantize:
    """The step with as few layers in floats as keep the accuracy, tried in memory on some validation samples.

    As NNCF's quantization with accuracy control goes about it: layers are ranked by how much the answers move when
    each alone is rounded, and one after the other is left in floats, the worst first.

    Parameters
    ----------
    study : Study
    drop : float
        The most that may be lost, as a share.
    step : Quantize, optional
        What to quantize to; 8 bits if left out.
    report : callable
        Told of the progress; may raise `Cancelled`.

    Raises
    ------
    WorkbenchError
        If the drop can't be, or not even one quantized layer keeps to it.
    """
    if not 0 <= drop < 1:
        raise WorkbenchError(f"A drop in accuracy of {drop:g} can't be kept to.", "Give a share from 0 on.")
    step = step or Quantize()
    known = sensitivity(study, report=lambda **facts: report(**{**facts, "share": facts["share"] / 2}))
    layers = [layer for layer in known.grid("bits")[0] if step.layers.get(layer) != FLOATS]
    worst = sorted(layers, key=lambda n: known.error("bits", n, step.layers.get(n, step.weight_bits)), reverse=True)
    least = _unchanged(study) - drop
    for count in range(len(worst)):
        restored = dict.fromkeys(worst[:count], FLOATS)
        report(share=0.5 + count / len(worst) / 2, message=f"Quantized, but for {', '.join(restored) or 'none'}")
        tried = step.model_copy(update={"layers": {**step.layers, **restored}})
        found = probe(study, Recipe([tried]))
        if found.right / found.samples >= least:
            return tried
    raise WorkbenchError(
        f"No layer can be quantized so that at most {100 * drop:g} points are lost.",
        "Allow more, take more bits, or train after it.",
    )


def _unchanged(study: "Study") -> float:
    """The accuracy of the model as it is, on the samples of a probe."""
    split = study.dataset.validation
    chosen = balanced(study, SAMPLES)
    inputs = torch.from_numpy(study.dataset.prepare(split.inputs[chosen]))
    return float((logits(study.module, inputs).argmax(1).numpy() == split.labels[chosen]).mean())
