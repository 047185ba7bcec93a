"""ShareWeights: a few shared values for all weights of a layer."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from workbench.errors import WorkbenchError, nearest
from workbench.knobs import knob
from workbench.steps.base import Context, Step, Work

NOTE = (
    "Shared weights make the file smaller, not the model faster: the packed file is decoded to 32-bit floats when it "
    "is loaded, and computed with as before."
)


class ShareWeights(Step):
    """Let all weights of a layer share a few values (k-means), so that each is stored as a short index.

    With b bits a layer keeps its zeros and at most ``2^b`` other values, the centroids c that minimize
    ``sum over w of min over c of (w - c)^2``. Any later training moves the centroids only, each by the sum of the
    gradients of its weights. The model is then written as a packed file: codebooks, and indices coded by a range
    coder, which takes about ``-sum of p log2 p`` bits for each.

    References
    ----------
    Han, Mao, Dally: Deep Compression, 2016 (arXiv 1510.00149). Lloyd: Least Squares Quantization in PCM, 1982. Martin:
    Range Encoding, 1979.
    """

    kinds: ClassVar[tuple[str, ...]] = ("Quantize",)

    bits: int = knob(5, ge=1, le=8, unit="bits", help="Bits of each index in linear layers: 5 gives 32 shared values.")
    conv_bits: int = knob(
        8, ge=1, le=8, unit="bits", label="Bits in convolutions", help="Bits of each index in convolutions."
    )
    layers: dict[str, Annotated[int, Field(ge=1, le=8)]] = knob(
        {}, unit="bits", help="Bits of single layers, by name, in place of the above.", advanced=True
    )
    init: Literal["linear", "density", "random"] = knob(
        "linear",
        label="First centroids",
        help="Where k-means starts: evenly between the extremes (linear; keeps the few large weights), at even shares "
        "of the weights (density), or at weights drawn by chance (random).",
        advanced=True,
    )
    biases: bool = knob(
        True, help="Also the biases of these layers, where they are more than the shared values.", advanced=True
    )

    def apply(self, work: Work, context: Context) -> None:
        from torch import nn, no_grad

        from workbench.quantization.codebook import SharedValues, share

        kinds = (nn.Linear, nn.modules.conv._ConvNd)
        layers = {name: layer for name, layer in work.module.named_modules() if isinstance(layer, kinds)}
        if not layers:
            raise WorkbenchError("This model has no convolution and no linear layer.", "Remove ShareWeights.")
        for name in self.layers:
            if name not in layers:
                raise WorkbenchError(f"There is no layer '{name}' to share weights in.", nearest(name, list(layers)))
        shared = []
        for index, (name, layer) in enumerate(layers.items()):
            context.report(share=index / len(layers), message=f"Sharing the weights of {name}")
            size = 2 ** self.layers.get(name, self.bits if isinstance(layer, nn.Linear) else self.conv_bits)
            for part in ("weight", "bias")[: 1 + self.biases]:
                parameter = getattr(layer, part)
                if parameter is None or parameter.numel() <= size:
                    continue
                with no_grad():
                    parameter.copy_(share(parameter, size, self.init, context.seed))
                shared.append(f"{name}.{part}" if name else part)
        work.constraints["shared"] = SharedValues(shared)
        work.packed = True
        work.notes.append(NOTE)
