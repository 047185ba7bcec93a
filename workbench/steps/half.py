"""Half: 16-bit floats instead of 32."""

from typing import ClassVar, Literal

from workbench.errors import WorkbenchError
from workbench.knobs import knob
from workbench.steps.base import Context, Step, Work


class Half(Step):
    """Store and compute with floats of 16 bits, half the bytes of the usual ones.

    float16 keeps 11 significant bits and reaches 65,504; bfloat16 keeps 8 and reaches as far as 32-bit floats do. The
    model still takes and gives 32-bit floats. Where the device has no arithmetic for them, each operation converts to
    32 bits and back, which is slower: what was measured says so.

    References
    ----------
    Micikevicius et al.: Mixed Precision Training, 2018 (arXiv 1710.03740), for float16. Kalamkar et al.: A Study of
    BFLOAT16 for Deep Learning Training, 2019 (arXiv 1905.12322).
    """

    kinds: ClassVar[tuple[str, ...]] = ("Quantize",)

    format: Literal["float16", "bfloat16"] = knob(
        "float16", help="float16 is finer, bfloat16 reaches further; a runtime may have one of them only."
    )

    def check(self, context: Context) -> None:
        runtime = context.runtime
        if runtime is not None and self.format not in runtime.floats:
            here = ", ".join(runtime.floats)
            raise WorkbenchError(
                f"The runtime '{runtime.name}' does not run {self.format}.",
                f"It runs: {here}." if here else "Choose the runtime 'torch' or 'onnxruntime'.",
            )

    def apply(self, work: Work, context: Context) -> None:
        import torch

        from workbench.machine import lacks_half

        kind = getattr(torch, self.format)
        largest = torch.finfo(kind).max
        with torch.no_grad():
            for name, tensor in work.module.state_dict().items():
                if not tensor.is_floating_point():
                    continue
                if tensor.abs().max() > largest:
                    raise WorkbenchError(
                        f"{name} holds values above {largest:g}, which {self.format} can't.", "Choose bfloat16."
                    )
                tensor.copy_(tensor.to(kind))
        work.precision = self.format
        if lacking := lacks_half(self.format, context.device):
            work.notes.append(
                f"The file is about half as large, but {lacking}: each operation converts to 32 bits and back, which "
                "is usually slower."
            )
