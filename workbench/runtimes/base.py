"""What every runtime is: it exports a model to the file that ships, and runs that file."""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workbench.disk import refusal, whole
from workbench.errors import WorkbenchError
from workbench.memory import shortage
from workbench.profiling import RUNS, Operation
from workbench.runtimes.kinds import foreign, unreadable
from workbench.runtimes.refusals import not_exported

if TYPE_CHECKING:
    from workbench.steps.base import Work
    from workbench.steps.quantize import Quantize


class Session(ABC):
    """A loaded artifact: a callable from prepared inputs to outputs."""

    @abstractmethod
    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Outputs (N, classes) float32 for inputs (N, ...) float32."""


@dataclass(frozen=True)
class Kernel:
    """A kind of quantization that a runtime really computes with.

    Attributes
    ----------
    mode : str
        As in `Quantize.mode`.
    weight_bits : int
    activation_bits : int or None
        None: activations stay floats, whatever `Quantize.activation_bits` says.
    """

    mode: str
    weight_bits: int
    activation_bits: int | None

    def __str__(self) -> str:
        activations = f"{self.activation_bits}-bit" if self.activation_bits else "float"
        return f"{self.mode} {self.weight_bits}-bit weights with {activations} activations"


class Runtime(ABC):
    """What executes the file that ships."""

    name: str
    title: str
    suffix: str
    devices: tuple[str, ...] = ("cpu",)
    kernels: tuple[Kernel, ...] = ()
    mixes: tuple[str, ...] = ("static",)
    """The modes of quantization in which layers of one model may have different bits."""
    floats: tuple[str, ...] = ()
    """The formats of floats that it runs besides float32."""
    preparing_seconds: float = 5.0
    """About how long exporting and loading a small model takes: an estimate, to plan by."""

    @abstractmethod
    def version(self) -> str | None:
        """The installed version, or None where it isn't installed."""

    @abstractmethod
    def install(self) -> str:
        """The command that installs it."""

    @abstractmethod
    def snippet(self, filename: str) -> str:
        """Python code that loads and runs the artifact without this project; some of it imports its `helpers`."""

    def helpers(self) -> dict[str, str]:
        """Files of Python code that the snippet imports, to lie beside it: their content by name."""
        return {}

    @abstractmethod
    def _export(self, work: "Work", example: np.ndarray, calibration: np.ndarray, path: Path) -> None: ...

    @abstractmethod
    def _load(self, path: Path, threads: int, device: str) -> Session: ...

    def profile(self, path: Path, inputs: np.ndarray, threads: int = 1, runs: int = RUNS) -> list[Operation]:
        """The artifact's operations in the order of their execution, timed on the CPU by the runtime's own profiler.

        Raises
        ------
        WorkbenchError
            If this runtime can't tell.
        """
        raise WorkbenchError(
            f"{self.title} does not tell how long each of its operations takes.",
            "Choose the runtime 'onnxruntime' or 'torch' to see where the time goes.",
        )

    def activations(self, path: Path, inputs: np.ndarray) -> dict[str, np.ndarray]:
        """What each layer of the artifact gives for these inputs, after its activation function, by the layer's name.

        Raises
        ------
        WorkbenchError
            If this runtime can't tell.
        """
        raise WorkbenchError(
            f"{self.title} does not show what is computed inside its artifact.",
            "Choose the runtime 'onnxruntime' or 'torch' to compare layers.",
        )

    def weight_bits(self, path: Path) -> dict[str, int]:
        """Bits of each stored weight, by the layer's name; a layer that is left out has 32."""
        return {}

    def preparing(self) -> float:
        """About how many seconds exporting and loading a small model takes here and now."""
        return self.preparing_seconds

    def suited(self, threads: int, batch: int, device: str = "cpu") -> "Runtime":
        """The same runtime, whose artifacts are made for so many threads and inputs in a call, and for a device."""
        return self

    def warm_up(self) -> None:  # noqa: B027 (most need none)
        """Import what is slow to import, before a user waits for it."""

    def check(self, quantize: "Quantize | None" = None, device: str = "cpu") -> None:
        """Refuse, before any work, what this runtime can't run.

        Raises
        ------
        WorkbenchError
            If it isn't installed, or has no kernels for the device or for these bits.
        """
        if self.version() is None:
            raise WorkbenchError(f"The runtime '{self.name}' is not installed.", f"Run `{self.install()}`.")
        if device != "cpu" and device not in self.devices_here():
            lacking, remedy = self.lacks(device) if device in ("cpu", "cuda") else ("", "")
            raise WorkbenchError(
                f"The runtime '{self.name}' can't use the device '{device}' here{lacking and f': {lacking}'}.",
                f"Choose one of: {', '.join(self.devices_here())}{remedy and f'; or {remedy}'}.",
            )
        if quantize is None or quantize.simulate or self.computes(quantize):
            return
        wide = next((bits for bits in sorted(self.widths(quantize)) if not self._kernel(quantize, bits)), None)
        asked = Kernel(
            quantize.mode,
            wide or quantize.weight_bits,
            None if quantize.mode == "weight-only" or quantize.activation_bits == 32 else quantize.activation_bits,
        )
        here = "; ".join(str(kernel) for kernel in self.kernels)
        raise WorkbenchError(
            f"The runtime '{self.name}' has no kernels for {asked}{'' if wide else ' beside others'}.",
            f"It has: {here}. Turn 'simulate' on to see what they would cost in accuracy."
            if here
            else "It computes with 32-bit floats only; choose the runtime 'onnxruntime', or turn 'simulate' on.",
        )

    def check_export(self) -> None:  # noqa: B027 (most need nothing more)
        """Refuse, before any work, what can't be exported here, though it could be loaded and run.

        Raises
        ------
        WorkbenchError
            If a tool is missing that only the export needs.
        """

    def computes(self, quantize: "Quantize") -> bool:
        """Whether it has kernels for all that a declaration asks for; not every mode mixes widths in one model."""
        widths = self.widths(quantize)
        real = all(self._kernel(quantize, bits) for bits in widths)
        return real and (len(widths) == 1 or quantize.mode in self.mixes)

    def widths(self, quantize: "Quantize") -> frozenset[int]:
        """Every number of bits that a quantized weight may come to have here.

        Where an integer program chooses them, and nothing is to be simulated, it chooses among those with kernels, if
        there are two at least.
        """
        if not quantize.chooses or quantize.simulate or quantize.mode not in self.mixes:
            return quantize.widths
        real = frozenset(bits for bits in quantize.candidates if self._kernel(quantize, bits))
        return real | (quantize.widths - quantize.candidates) if len(real) > 1 else quantize.widths

    def safe_bits(self, quantize: "Quantize", device: str = "cpu") -> int:
        """The most bits of a weight whose products the kernels here add up exactly."""
        return 16

    def _kernel(self, quantize: "Quantize", bits: int) -> bool:
        return any(
            kernel.mode == quantize.mode
            and kernel.weight_bits == bits
            and kernel.activation_bits in (None, quantize.activation_bits)
            for kernel in self.kernels
        )

    def _simulating(self, work: "Work") -> AbstractContextManager[None]:
        """Where no kernel rounds what flows between layers, the exported floats do."""
        if work.quantization is None or not work.activations or self.computes(work.quantization):
            return nullcontext()
        from workbench.quantization.activations import rounded_inputs

        return rounded_inputs(work.module, work.activations)

    def devices_here(self) -> tuple[str, ...]:
        """The devices that it can use on this machine."""
        return self.devices

    def lacks(self, device: str) -> tuple[str, str]:
        """What it would need to use a device that isn't here, and how to come by that; "" if by no means."""
        return "it runs on processors only", ""

    def export(self, work: "Work", example: np.ndarray, calibration: np.ndarray, path: Path) -> None:
        """Write the artifact.

        Parameters
        ----------
        work : Work
            The module, and the quantization it declares.
        example : numpy.ndarray
            Prepared inputs (N, ...) float32, N at least 2; the artifact takes any batch size.
        calibration : numpy.ndarray
            Prepared inputs (N, ...) float32 for static quantization.
        path : pathlib.Path
            Replaced once the new file is whole.

        Raises
        ------
        WorkbenchError
            If the runtime has no kernels for it, the model can't be exported, or the disk takes no more.
        """
        self.check(work.quantization)
        self.check_export()
        try:
            with self._simulating(work), whole(Path(path)) as unfinished:
                self._export(work, example, calibration, unfinished)
        except WorkbenchError:
            raise
        except Exception as error:  # exporters raise whatever they meet; the reason is what the user needs
            if (full := refusal(error)) is not None:
                raise full from error
            if isinstance(error, OSError) or shortage(error) is not None:
                raise
            raise not_exported(self.name, error, work.module, example) from error

    def load(self, path: Path, threads: int = 1, device: str = "cpu") -> Session:
        """Load an artifact.

        Raises
        ------
        WorkbenchError
            If the file is missing, damaged, not of this runtime, or not for this machine; it says what the file is,
            and what opens it.
        """
        path = Path(path)
        self.check(device=device)
        if (refusal := foreign(path, self.name)) is not None:
            raise refusal
        try:
            return self._load(path, threads, device)
        except WorkbenchError:
            raise
        except Exception as error:  # a damaged file makes loaders raise anything
            raise unreadable(path, self.name, f"{self.title} {self.version()}", error) from error
