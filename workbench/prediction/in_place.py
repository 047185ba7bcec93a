"""Activations and sums written over what they are computed from: there is less memory to go through."""

import operator

import torch
import torch.nn.functional as F
from torch import fx, nn

from workbench.quantization.layers import graph_of

SUMS, RELUS = (operator.add, torch.add), (F.relu, torch.relu)
LAYERS = nn.Linear, nn.modules.conv._ConvNd


def in_place(module: nn.Module) -> nn.Module:
    """The same parts, in code that writes over what nothing else reads.

    Which results those are is told by the graph: those of a layer or a sum that are taken once. Where a sum is larger
    than what it would be written over, the code fails when it is run.

    Parameters
    ----------
    module : torch.nn.Module
        In evaluation mode; returned as it is where its code can't be traced.
    """
    graph = graph_of(module)
    if graph is None:
        return module
    parts = dict(module.named_modules())
    for node in list(graph.nodes):
        part = parts.get(node.target) if node.op == "call_module" else None
        if isinstance(part, nn.Identity):  # that of a batch-norm that was taken in
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)
        elif isinstance(part, nn.ReLU) and _free(node.args[0], parts):
            with graph.inserting_before(node):
                node.replace_all_uses_with(graph.call_function(F.relu, node.args, {"inplace": True}))
            graph.erase_node(node)
        elif node.op == "call_function" and node.target in RELUS and len(node.args) == 1 and _free(node.args[0], parts):
            node.target, node.kwargs = F.relu, {"inplace": True}
        elif node.op == "call_function" and node.target in SUMS and len(node.args) == 2 and not node.kwargs:
            one, other = node.args
            if _free(one, parts) or _free(other, parts):
                node.target, node.args = operator.iadd, (one, other) if _free(one, parts) else (other, one)
    return fx.GraphModule(module, graph)


def _free(source: object, parts: dict[str, nn.Module]) -> bool:
    """Whether something is new memory that nothing else reads."""
    if not isinstance(source, fx.Node) or len(source.users) > 1:
        return False
    if source.op == "call_module":
        return isinstance(parts.get(str(source.target)), LAYERS)
    return source.op == "call_function" and source.target in (*SUMS, operator.iadd)
