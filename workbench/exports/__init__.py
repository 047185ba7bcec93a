"""The exports: formats in which a trial is handed on."""

from workbench.exports.base import Export, Exported
from workbench.exports.onnx import Onnx
from workbench.exports.openvino_ir import OpenVinoIR
from workbench.exports.packed import PackedFile
from workbench.exports.safetensors_plan import SafetensorsPlan
from workbench.exports.torch_export import TorchExport

EXPORTS: dict[str, Export] = {
    each.name: each for each in (Onnx(), OpenVinoIR(), TorchExport(), SafetensorsPlan(), PackedFile())
}

__all__ = ["EXPORTS", "Export", "Exported"]
