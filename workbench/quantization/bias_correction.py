"""Bias correction: rounding may change a layer's output, but not its mean."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from workbench.quantization.folding import norms_after
from workbench.quantization.layers import Layer, part, run, watching


def mean_outputs(module: nn.Module, layers: dict[str, Layer], batches: Iterable[Tensor]) -> dict[str, Tensor]:
    """The mean of each output channel of each layer over the samples, by the layer's name."""
    sums: dict[str, Tensor] = {}
    counts: dict[str, int] = dict.fromkeys(layers, 0)

    def see(name: str, inputs: Tensor, outputs: Tensor) -> None:
        rows = outputs.reshape(-1, outputs.shape[-1]) if isinstance(layers[name], nn.Linear) else _by_channel(outputs)
        sums[name] = sums.get(name, torch.zeros(rows.shape[1])) + rows.sum(0)
        counts[name] += len(rows)

    with watching(layers, see):
        run(module, batches)
    return {name: total / counts[name] for name, total in sums.items()}


def _by_channel(outputs: Tensor) -> Tensor:
    return outputs.transpose(0, 1).flatten(1).T


@torch.no_grad()
def correct_bias(module: nn.Module, name: str, layer: Layer, batches: Sequence[Tensor], expected: Tensor) -> bool:
    r"""Shift a layer's bias, or that of the batch-norm after it, until its mean output is what it was.

    .. math:: b \leftarrow b + \mathbb{E}[W x] - \mathbb{E}[\tilde W \tilde x]

    Returns
    -------
    bool
        False where there is nothing to shift.

    References
    ----------
    Nagel et al.: Data-Free Quantization Through Weight Equalization and Bias Correction, 2019 (arXiv 1906.04721),
    section 4.2, with the means taken on calibration samples.
    """
    missing = expected - mean_outputs(module, {name: layer}, batches)[name]
    if layer.bias is not None:
        layer.bias.add_(missing)
        return True
    norm = norms_after(module).get(name)
    if norm is None:
        return False
    part(module, norm).running_mean.sub_(missing)
    return True
