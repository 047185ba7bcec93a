"""OpenVINO IR: an .xml graph and its .bin of weights."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import WorkbenchError
from workbench.exports.base import Export, Run
from workbench.exports.onnx import write_onnx
from workbench.runtimes.openvino import OpenVino

if TYPE_CHECKING:
    from workbench.trial import Trial


class OpenVinoIR(Export):
    """What `onnx` exports, translated by OpenVINO; weights keep the width they have there."""

    name = "openvino"
    title = "OpenVINO IR"
    suffixes = (".xml", ".bin")

    def check(self, trial: "Trial") -> None:
        super().check(trial)
        if OpenVino().version() is None:
            raise WorkbenchError("OpenVINO is not installed.", f"Run `{OpenVino().install()}`.")

    def snippet(self, trial: "Trial", stem: str) -> str:
        return OpenVino().snippet(f"{stem}.xml")

    def _write(self, trial: "Trial", files: tuple[Path, ...]) -> str:
        with tempfile.TemporaryDirectory() as folder:
            plain = Path(folder, "model.onnx")
            note = write_onnx(trial, plain)
            OpenVino().to_ir(plain, files[0])
        return note

    def _load(self, trial: "Trial", files: tuple[Path, ...]) -> Run:
        return OpenVino().load(files[0])
