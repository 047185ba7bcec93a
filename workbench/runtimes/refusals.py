"""Why a model can't be exported: which operator, at which line of it, and what to write there instead."""

import linecache
import re
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from traceback import walk_tb
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from torch import nn

HOUSE = Path(__file__).parents[1]
EXPORTERS = {"torch", "torchao", "onnx", "onnxscript", "onnx_ir", "onnxruntime", "openvino", "executorch", "sympy"}
INSTALLED = ("site-packages", "dist-packages")
LONGEST = 100  # signs of a line, and
REASON = 300  # of a reason, that are shown
DEPENDS = {"GuardOnDataDependentSymNode", "DataDependentOutputException", "DynamicOutputShapeException"}
OPERATORS = (
    r"No ONNX function found for <OpOverload\(op='([\w.]+)'",
    r"Missing out variants: \{'([\w:]+)'",
    r"Operator torch\._ops\.([\w.]+?)(?:\.\w+)? is not",
)
FIXED = re.compile(r"batch\b.* specialized .*to be a constant \((\d+)\)")
CALL = re.compile(r'File "([^"]+)", line (\d+), in (\S+)')
Call = tuple[str, int, str]  # file, line, function
COLOURS = re.compile(r"\x1b\[\d*m|\[\d+m")


def not_exported(runtime: str, error: BaseException, module: "nn.Module", example: np.ndarray) -> WorkbenchError:
    """The refusal of a model, from what its exporter raised.

    Parameters
    ----------
    runtime : str
        The runtime's name.
    error : BaseException
        As it was caught: its traceback leads through the model's own code.
    module : torch.nn.Module
    example : numpy.ndarray
        The prepared inputs that it was exported with.
    """
    causes = [error, *_causes(error)]
    said = COLOURS.sub("", "\n".join(str(cause) for cause in causes))
    place, refused = _place(causes) or _layer(causes, module), f"The model could not be exported for '{runtime}':"
    if operator := next((found[1] for pattern in OPERATORS if (found := re.search(pattern, said))), None):
        place = place or _asking(causes, operator.replace("::", "."))
        where = f", which is used in {place}" if place else ""
        return WorkbenchError(
            f"{refused} it does not know the operator {operator.replace('::', '.')}{where}.",
            "Write that with other operations, or choose the runtime 'torch'.",
        )
    if DEPENDS & {type(cause).__name__ for cause in causes}:
        where = f" in {place}" if place else ""
        return WorkbenchError(
            f"{refused} what it does depends on values{where}, and a file does the same whatever the values.",
            "Compute both ways there and choose with torch.where; sizes must not depend on values either.",
        )
    if fixed := FIXED.search(said):
        place = _fails_with_more(module, example)
        where = f", because of {place}" if place else ""
        return WorkbenchError(
            f"{refused} it takes no other batches than those of {fixed[1]} samples{where}.",
            "Take the number of samples from the input there, as x.flatten(1) and x.reshape(len(x), -1) do.",
        )
    root = causes[-1]
    reason = COLOURS.sub("", str(root)).strip().split("\n")[0][:REASON].rstrip(".")
    if place:
        return WorkbenchError(
            f"{refused} {type(root).__name__} in {place}: {reason}.", "Rewrite that, or try another runtime."
        )
    return WorkbenchError(
        f"{refused} {type(root).__name__}: {reason}.", "Try another runtime, or rewrite the operation that it names."
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """What an error came from, the first cause last."""
    while (cause := error.__cause__ or (None if error.__suppress_context__ else error.__context__)) is not None:
        yield cause
        error = cause


def _place(causes: list[BaseException]) -> str | None:
    """Where in the model it went wrong; the first cause knows best."""
    for cause in reversed(causes):
        frames = list(walk_tb(cause.__traceback__))
        told = next((told for frame, _ in reversed(frames) if (told := _of_node(frame))), None)
        told = told or _of_calls([(frame.f_code.co_filename, line, frame.f_code.co_name) for frame, line in frames])
        if told:
            return told
    return None


def _layer(causes: list[BaseException], module: "nn.Module") -> str | None:
    """The innermost layer that was computed when it went wrong, where no line of the model was."""
    names = {id(layer): (name, type(layer).__name__) for name, layer in module.named_modules() if name}
    for cause in reversed(causes):
        for frame, _ in reversed(list(walk_tb(cause.__traceback__))):
            if (found := names.get(id(frame.f_locals.get("self")))) is not None:
                return f"the layer '{found[0]}' ({found[1]})"
    return None


def _asking(causes: list[BaseException], operator: str) -> str | None:
    """Where the model asks for an operator, from the graphs that an exporter had at hand."""
    for frame, _ in (step for cause in causes for step in walk_tb(cause.__traceback__)):
        for value in frame.f_locals.values():
            for node in getattr(getattr(value, "graph", None), "nodes", ()):
                if str(getattr(node, "target", "")).startswith(operator) and (told := _of_facts(node.meta)):
                    return told
    return None


def _of_node(frame: FrameType) -> str | None:
    """The line, or the layer, of the node that an exporter had at hand."""
    nodes = [value for value in frame.f_locals.values() if type(value).__name__ == "Node"]
    return next((told for node in nodes if (told := _of_facts(getattr(node, "meta", None)))), None)


def _of_facts(facts: Any) -> str | None:
    """The line, or the layer, that a node says it came from."""
    if not isinstance(facts, dict):
        return None
    calls = [(file, int(line), name) for file, line, name in CALL.findall(facts.get("stack_trace") or "")]
    if told := _of_calls(calls):
        return told
    layers = list((facts.get("nn_module_stack") or {}).values())
    if not layers or not layers[-1][0]:
        return None
    name, kind = layers[-1]
    return f"the layer '{name}' ({getattr(kind, '__name__', str(kind).rpartition('.')[-1])})"


def _of_calls(calls: list[Call]) -> str | None:
    """The innermost line of the model; of what it calls, only what is nobody's package."""
    own = [call for call in calls if _own(call[0])]
    while own and own[0][2] != "forward":
        own = own[1:]
    inner = [call for call in own if call[2] == "forward" or not set(INSTALLED) & set(Path(call[0]).parts)]
    return _line(*inner[-1][:2]) if inner else None


def _fails_with_more(module: "nn.Module", example: np.ndarray) -> str | None:
    """The line that can't take one sample more, which no exporter tells."""
    import torch

    try:
        with torch.inference_mode():
            module(torch.from_numpy(np.concatenate([example, example[:1]])))
    except Exception as error:  # the model's own code may raise anything
        return _place([error])
    return None


def _own(file: str) -> bool:
    """Whether this is code of the model, and not of what traces it."""
    if file.startswith("<"):
        return file == "<stdin>" or file.startswith("<ipython-input")
    path = Path(file)
    if HOUSE in path.parents:
        return HOUSE / "models" in path.parents
    folders = [folder for name in EXPORTERS for folder in getattr(sys.modules.get(name), "__path__", [])]
    if any(path.is_relative_to(folder) for folder in folders):
        return False
    return bool(set(INSTALLED) & set(path.parts)) or not path.is_relative_to(sysconfig.get_path("stdlib"))


def _line(file: str, number: int) -> str:
    """A line and, where it can be had, what it says; without the folders of this machine, as reports are passed on."""
    path = Path(file)
    if "ipykernel" in file:
        name = f"a notebook's cell, line {number}"
    else:
        name = f"{path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path.name}:{number}"
    source = linecache.getline(file, number).strip()
    return f"{name} (`{source if len(source) <= LONGEST else source[:LONGEST] + '...'}`)" if source else name
