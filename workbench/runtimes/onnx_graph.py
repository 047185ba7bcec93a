"""Which layer of the module each node and tensor of an ONNX graph comes from, told by the names of the weights.

Graphs are taken as they were read, so that nothing of ONNX is imported here.
"""

import ast
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

WEIGHT = re.compile(r"(?:(.*)\.)?(?:weight|bias)(?:_|$)")
BITS = {1: 32, 2: 8, 3: 8, 10: 16, 11: 64, 16: 16, 21: 4, 22: 4}  # of onnx.TensorProto's types
PASSING = ("DequantizeLinear", "QuantizeLinear", "Transpose", "Cast", "Reshape")  # between a weight and its user
FOLLOWING = (  # what a layer's output goes through before it counts as the layer's: runtimes fuse it, or leave it out
    *("Relu", "Clip", "QuantizeLinear", "DequantizeLinear", "BatchNormalization"),
    *("Cast", "Mul"),  # with a constant or a scale: how dynamic quantization turns its sums into floats
    "Add",  # with a constant: the bias
)
DECORATION = re.compile(r"(?:_nchwc|_token_\d+|/.*)+$")


@dataclass(frozen=True)
class Place:
    """Where a layer of the module is in a graph.

    Attributes
    ----------
    layer : str
        The module's name for it.
    node : str
        The node that uses its weight.
    bits : int
        Of each stored weight.
    output : str
        The tensor that holds its result, after bias, activation and conversion.
    tensors : tuple of str
        Every tensor from the node's own result to `output`.
    """

    layer: str
    node: str
    bits: int
    output: str
    tensors: tuple[str, ...]


def places(graph: Any) -> list[Place]:
    """The layers of a graph in its own order; a node whose weight names no layer is passed over."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    users: dict[str, list[Any]] = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            users[name].append(node)
    ends = {value.name for value in graph.output}
    found = []
    for node in graph.node:
        if not _multiplies(node.op_type):
            continue
        weight = next((w for name in node.input[1:] if (w := _weight(name, constants, makers, node))), None)
        tensors = _trail(node.output[0], users, constants, makers, ends)
        named = [weight, *(name for tensor in tensors[1:] for name in makers[tensor].input if name in constants)]
        layer = next((m.group(1) or "" for name in named if name and (m := WEIGHT.match(name))), None)
        if weight is not None and layer is not None:
            bits = _bits(constants[weight], node)
            found.append(Place(layer, node.name, bits, tensors[-1], tuple(tensors)))
    return found


def name_weights(graph: Any) -> bool:
    """Call weights that the exporter transposed, and so made nameless, after their layer; whether there were any.

    The exporter notes at each node in which modules it lies, outermost first.
    """
    constants = {tensor.name: tensor for tensor in graph.initializer}
    renamed = False
    for node in graph.node:
        scopes = next((p.value for p in node.metadata_props if p.key == "pkg.torch.onnx.name_scopes"), "[]")
        layer = ["", *ast.literal_eval(scopes)[:-1]][-1]
        for index, name in enumerate(node.input):
            weight = constants.get(name)
            if not layer or not _multiplies(node.op_type) or weight is None or WEIGHT.match(name):
                continue
            if sum(name in other.input for other in graph.node) == 1 and f"{layer}.weight" not in constants:
                node.input[index] = weight.name = f"{layer}.weight"
                renamed = True
    return renamed


def owners(found: list[Place]) -> dict[str, str]:
    """The layer of each node and tensor, by the names under which a profile may tell of it."""
    return {name: place.layer for place in found for name in (place.node, *place.tensors)}


def owner(event: str, kind: str, known: dict[str, str]) -> str | None:
    """The layer of an executed node: ONNX Runtime names it after the node, or after the last tensor it was fused to."""
    return known.get(DECORATION.sub("", plain(event))) if _multiplies(kind) else None


def plain(event: str) -> str:
    """An executed node's name in a profile, without what every name there has."""
    return event.removesuffix("_kernel_time").removeprefix("fused ")


def _multiplies(kind: str) -> bool:
    return any(word in kind for word in ("Conv", "Gemm", "MatMul"))


def _weight(name: str, constants: dict, makers: dict, user: Any) -> str | None:
    """The constant of two dimensions or more that a node's input is, perhaps after a conversion."""
    while name not in constants:
        maker = makers.get(name)
        if maker is None or maker.op_type not in PASSING:
            return None
        name = maker.input[0]
    return name if len(constants[name].dims) > 1 else None


def _trail(tensor: str, users: dict, constants: dict, makers: dict, ends: set[str]) -> list[str]:
    trail = [tensor]
    while len(users[tensor]) == 1 and tensor not in ends:
        (user,) = users[tensor]
        others = [name for name in user.input if name != tensor]
        if user.op_type not in FOLLOWING or (user.op_type == "Add" and not all(o in constants for o in others)):
            break
        if user.op_type == "Mul" and not all(_scale(o, constants, makers) for o in others):
            break
        tensor = user.output[0]
        trail.append(tensor)
    # integers say nothing without their scale
    while len(trail) > 1 and makers[trail[-1]].op_type == "QuantizeLinear":
        trail.pop()
    return trail


def _scale(name: str, constants: dict, makers: dict) -> bool:
    return name in constants or (name in makers and any(i in constants for i in makers[name].input))


def _bits(weight: Any, user: Any) -> int:
    stated = next((a.i for a in user.attribute if a.name == "bits"), None)
    return int(stated or BITS.get(weight.data_type, 32))
