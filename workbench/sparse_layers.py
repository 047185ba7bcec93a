"""A `torch.export` program whose named layers multiply by sparse weights (CSR). Needs torch only."""

import json
from pathlib import Path

import torch

LIST = "sparse.json"  # inside the program's file: the weights to hold as sparse
LINEAR, CONV = torch.ops.aten.linear.default, torch.ops.aten.conv2d.default


class SparseLinear(torch.nn.Module):
    """(N, ..., inputs) -> (N, ..., outputs)."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None):
        super().__init__()
        self.weight, self.bias = weight.detach().to_sparse_csr(), bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = (self.weight @ x.reshape(-1, x.shape[-1]).t()).t().reshape(*x.shape[:-1], -1)
        return y if self.bias is None else y + self.bias


class SparseConv(torch.nn.Module):
    """(N, inputs, H, W) -> (N, outputs, H', W'), as a product with the patches under the kernel."""

    def __init__(
        self,
        weight: torch.Tensor,
        bias: torch.Tensor | None = None,
        stride: tuple[int, ...] = (1, 1),
        padding: tuple[int, ...] = (0, 0),
        dilation: tuple[int, ...] = (1, 1),
    ):
        super().__init__()
        self.weight, self.bias, self.kernel = weight.detach().flatten(1).to_sparse_csr(), bias, tuple(weight.shape[2:])
        self.how = tuple(dilation), tuple(padding), tuple(stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        patches = torch.nn.functional.unfold(x, self.kernel, *self.how)
        y = (self.weight @ patches.transpose(0, 1).flatten(1)).unflatten(1, (len(x), -1)).transpose(0, 1)
        height = (x.shape[2] + 2 * self.how[1][0] - self.how[0][0] * (self.kernel[0] - 1) - 1) // self.how[2][0] + 1
        y = y if self.bias is None else y + self.bias[:, None]
        return y.unflatten(2, (height, -1)).contiguous()


def load_sparse(path: str | Path) -> torch.nn.Module:
    """The program in a file, its named layers sparse; every other layer is as it was exported."""
    told = {LIST: ""}
    program = torch.export.load(path, extra_files=told).module()
    names = set(json.loads(told[LIST]))
    for node in list(program.graph.nodes):
        if node.op != "call_function" or node.target not in (LINEAR, CONV) or node.args[1].target not in names:
            continue
        weight = program.get_parameter(node.args[1].target)
        bias = program.get_parameter(node.args[2].target) if len(node.args) > 2 and node.args[2] is not None else None
        layer = SparseLinear(weight, bias) if node.target is LINEAR else SparseConv(weight, bias, *node.args[3:6])
        program.add_submodule(f"sparse_{node.name}", layer)
        with program.graph.inserting_before(node):
            node.replace_all_uses_with(program.graph.call_module(f"sparse_{node.name}", (node.args[0],)))
        program.graph.erase_node(node)
    program.graph.eliminate_dead_code()
    program.recompile()
    return program
