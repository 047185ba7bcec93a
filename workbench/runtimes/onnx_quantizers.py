"""Float ONNX models rewritten for ONNX Runtime's integer kernels, on the grids that the work's weights lie on."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.machine import products_overflow
from workbench.runtimes.onnx_graph import places
from workbench.steps.base import Work
from workbench.steps.quantize import BLOCK, Quantize

if TYPE_CHECKING:
    import onnx

    from workbench.quantization.grid import Grid

# What only moves values about: its output has the grid of its input.
MOVES = {"MaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze"}
LINEAR = ["MatMul", "Gemm", "Conv", "Gather"]  # what has weights


@dataclass(frozen=True)
class Stored:
    """A quantized weight in the graph: its initializer, and its codes and scales as (outputs, inputs)."""

    parameter: str
    initializer: str
    turned: bool
    codes: np.ndarray
    grid: "Grid"

    @property
    def axis(self) -> int:
        return 1 if self.turned else 0

    @property
    def scales(self) -> np.ndarray:
        """One scale for each output, whatever the grid has."""
        return np.broadcast_to(self.grid.scale.numpy(), len(self.codes)).astype(np.float32)


def static(source: Path, target: Path, work: Work, calibration: np.ndarray) -> None:
    """Integer weights and activations, whose ranges come from the work's grids, else from calibration samples."""
    import onnx
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.batches = iter(np.array_split(calibration, max(1, len(calibration) // 32)))

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self.batches, None)
            return None if batch is None else {"input": batch}

    methods = {
        "minmax": CalibrationMethod.MinMax,
        "percentile": CalibrationMethod.Percentile,
        "entropy": CalibrationMethod.Entropy,
        "mse": CalibrationMethod.MinMax,  # for what our own observers don't see: sums, and the answers
    }
    ready = _preprocessed(source)
    model = onnx.load(ready)
    # What a normalization takes and gives is computed with floats: to round between all operations of a transformer, as
    # of a convolutional network, took half as long again as to round what flows into its layers (see RESULTS.md).
    normalized = any(node.op_type == "LayerNormalization" for node in model.graph.node)
    # Unsigned activations with signed weights are what the VNNI kernels take; both signed ran 2-3 times slower.
    quantize_static(
        ready,
        target,
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=methods[_declared(work).observer],
        op_types_to_quantize=LINEAR if normalized else None,
        nodes_to_exclude=_floats(model, work) + (_products(model) if normalized else []),
        reduce_range=products_overflow(),
        extra_options={
            "TensorQuantOverrides": _overrides(model, work),
            "OpTypesToExcludeOutputQuantization": ["MatMul", "Gemm"] if normalized else [],
        },
    )
    model = onnx.load(target)
    if _float_answers(model.graph):
        onnx.save(model, target)


def dynamic(source: Path, target: Path, work: Work, calibration: np.ndarray) -> None:
    """Integer weights; the ranges of activations are found at every run."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    ready = _preprocessed(source)
    stored = list(_stored(onnx.load(ready), work))
    # Linear layers only: dynamically quantized convolutions were measured at a third of float speed.
    quantize_dynamic(
        ready,
        target,
        op_types_to_quantize=["MatMul", "Gemm"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        reduce_range=products_overflow(),
    )
    model = onnx.load(target)
    for weight in stored:
        _replace(model, f"{weight.initializer}_quantized", weight.codes.T.astype(np.int8))
        _replace(model, f"{weight.initializer}_scale", weight.scales)
    onnx.save(model, target)


def weight_only(source: Path, target: Path, work: Work, calibration: np.ndarray) -> None:
    """Integer weights, a scale for each block of them; all is computed with floats."""
    import onnx
    from onnxruntime.quantization.matmul_nbits_quantizer import DefaultWeightOnlyQuantConfig, MatMulNBitsQuantizer

    model = onnx.load(_preprocessed(source))
    stored = list(_stored(model, work))
    _gemm_to_matmul(model)
    known = {weight.initializer: weight.grid.bits for weight in stored}
    widths = set(known.values()) if known else {_declared(work).weight_bits}
    for bits in sorted(widths):
        config = DefaultWeightOnlyQuantConfig(block_size=BLOCK, is_symmetric=True, bits=bits)
        others = [
            node.name
            for node in model.graph.node
            if known and node.op_type == "MatMul" and known.get(node.input[1]) != bits
        ]
        quantizer = MatMulNBitsQuantizer(model, nodes_to_exclude=others, algo_config=config)
        quantizer.process()
        model = quantizer.model.model
    for weight in stored:
        if weight.grid.block == BLOCK:
            bits = weight.grid.bits
            _replace(model, f"{weight.initializer}_Q{bits}", _packed(weight.codes, bits))
            _replace(model, f"{weight.initializer}_scales", weight.grid.scale.numpy())
    onnx.save(model, target)


def narrowed(source: Path) -> "onnx.ModelProto":
    """The same model in 16-bit floats, with 32-bit inputs and outputs."""
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    return convert_float_to_float16(onnx.load(source), keep_io_types=True)


QUANTIZERS = {"static": static, "dynamic": dynamic, "weight-only": weight_only}


def _declared(work: Work) -> Quantize:
    assert work.quantization is not None
    return work.quantization


def _stored(model: "onnx.ModelProto", work: Work) -> Iterator[Stored]:
    """The weights in the graph that lie on grids of the work, by name, or by value where the exporter turned them."""
    from onnx import numpy_helper

    from workbench.quantization.folding import folded_copy

    module, grids = folded_copy(work)
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for name, grid in grids.items():
        weight = module.get_parameter(name).detach()
        for initializer, array in arrays.items():
            turned = not (initializer == name and _equal(array, weight.numpy()))
            if turned and not (weight.ndim == 2 and _equal(array.T, weight.numpy())):
                continue
            if grid.fits(weight):
                yield Stored(name, initializer, turned, grid.codes(weight).numpy(), grid)
                break


def _equal(array: np.ndarray, weight: np.ndarray) -> bool:
    return array.shape == weight.shape and np.allclose(array, weight, rtol=1e-5, atol=0)


def _overrides(model: "onnx.ModelProto", work: Work) -> dict[str, list[dict[str, Any]]]:
    """The scales of weights, and of what flows into their layers, as ONNX Runtime's quantizer takes them."""
    from onnxruntime.quantization import QuantType

    from workbench.quantization.grid import Grid

    found: dict[str, list[dict[str, Any]]] = {}
    producers = {output: node for node in model.graph.node for output in node.output}
    consumers = {name: node for node in model.graph.node for name in list(node.input)[1:2]}
    for weight in _stored(model, work):
        found[weight.initializer] = [
            {"axis": weight.axis, "quant_type": QuantType.QInt8, "scale": scale, "zero_point": np.int8(0)}
            for scale in weight.scales
        ]
        inputs = work.activations.get(weight.parameter.removesuffix("weight").removesuffix("."))
        if not isinstance(inputs, Grid) or inputs.signed or inputs.bits != 8:
            continue
        tensor = consumers[weight.initializer].input[0]
        while tensor in producers and producers[tensor].op_type in MOVES:
            tensor = producers[tensor].input[0]
        scale, zero = np.float32(inputs.scale.item()), np.uint8(inputs.zero_point)
        if tensor not in producers or producers[tensor].op_type != "AveragePool":  # which takes its input's grid
            found.setdefault(
                tensor, [{"quant_type": QuantType.QUInt8, "scale": np.array(scale), "zero_point": np.array(zero)}]
            )
    return found


def _floats(model: "onnx.ModelProto", work: Work) -> list[str]:
    """The nodes of the layers that the work leaves in floats: where others have grids, those that have none."""
    from workbench.quantization.layers import weight_name, weighted

    left = {name for name in weighted(work.module) if weight_name(name) not in work.grids}
    return [place.node for place in places(model.graph) if work.grids and place.layer in left]


def _products(model: "onnx.ModelProto") -> list[str]:
    """The products of two activations, as in attention."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return [node.name for node in model.graph.node if node.op_type == "MatMul" and node.input[1] not in constants]


def _float_answers(graph: "onnx.GraphProto") -> bool:
    """Leave a linear layer's answers as the floats that its sums are; whether there were any to leave.

    In 256 levels, classes tie, and a regression knows no more than 256 numbers. The kernels of linear layers give
    floats at no cost; those of convolutions do not.
    """
    producers = {output: node for node in graph.node for output in node.output}
    changed = False
    for answer in graph.output:
        last = producers.get(answer.name)
        first = producers.get(last.input[0]) if last is not None and last.op_type == "DequantizeLinear" else None
        if first is None or first.op_type != "QuantizeLinear":
            continue
        made = producers.get(first.input[0])
        shared = sum(first.input[0] in node.input for node in graph.node) > 1
        if made is None or made.op_type not in ("Gemm", "MatMul", "Add") or shared:
            continue
        made.output[list(made.output).index(first.input[0])] = answer.name
        graph.node.remove(last)
        graph.node.remove(first)
        changed = True
    return changed


def _replace(model: "onnx.ModelProto", name: str, array: np.ndarray) -> None:
    from onnx import numpy_helper

    for tensor in model.graph.initializer:
        if tensor.name == name and list(tensor.dims) == list(array.shape):
            tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), name))


def _packed(codes: np.ndarray, bits: int) -> np.ndarray:
    """Codes as `MatMulNBits` stores them: unsigned, in blocks, two of four bits in a byte, the first one low."""
    outputs, inputs = codes.shape
    padded = np.pad(codes, [(0, 0), (0, -inputs % BLOCK)])
    raised = (padded + 2 ** (bits - 1)).astype(np.uint8).reshape(outputs, -1, BLOCK)
    return raised if bits == 8 else raised[:, :, ::2] | (raised[:, :, 1::2] << 4)


def _preprocessed(source: Path) -> Path:
    """The same model, optimized and with batch-norm folded, which the quantizers want."""
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process

    target = source.with_name("preprocessed.onnx")
    quant_pre_process(source, target, skip_symbolic_shape=True)
    model = onnx.load(target)
    del model.graph.value_info[:]  # the quantizers transpose weights and then trip over their recorded shapes
    onnx.save(model, target)
    return target


def _gemm_to_matmul(model: "onnx.ModelProto") -> None:
    """Rewrite every `Gemm` with a constant weight as `MatMul` + `Add`, the form the weight-only quantizer knows."""
    from onnx import helper, numpy_helper

    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        plain = attributes.get("alpha", 1.0) == 1.0 and attributes.get("beta", 1.0) == 1.0
        if node.op_type != "Gemm" or node.input[1] not in constants or attributes.get("transA", 0) or not plain:
            nodes.append(node)
            continue
        weight = constants[node.input[1]]
        if attributes.get("transB", 0):
            array = np.ascontiguousarray(numpy_helper.to_array(weight).T)
            weight.CopyFrom(numpy_helper.from_array(array, weight.name))
        product = f"{node.output[0]}_product" if len(node.input) > 2 else node.output[0]
        nodes.append(helper.make_node("MatMul", node.input[:2], [product], name=f"{node.name}_matmul"))
        if len(node.input) > 2:
            nodes.append(helper.make_node("Add", [product, node.input[2]], node.output, name=f"{node.name}_bias"))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
