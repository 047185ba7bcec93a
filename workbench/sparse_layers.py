"""A `torch.export` program whose named layers multiply by sparse weights (CSR, or BSR blocks). Needs torch only."""

import json
from pathlib import Path

import torch

LIST = "sparse.json"  # inside the program's file: the weights to hold as sparse, and the size of their blocks
LINEAR, CONV = torch.ops.aten.linear.default, torch.ops.aten.conv2d.default


def compressed(weight: torch.Tensor, block: int = 1) -> torch.Tensor:
    """A weight as a sparse matrix of rows (CSR), or of square blocks of so many rows and columns (BSR)."""
    matrix = weight.detach().flatten(1)
    return matrix.to_sparse_csr() if block == 1 else matrix.to_sparse_bsr((block, block))


class SparseLinear(torch.nn.Module):
    """(N, ..., inputs) -> (N, ..., outputs)."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None, block: int = 1):
        super().__init__()
        self.weight, self.bias = compressed(weight, block), bias

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
        block: int = 1,
    ):
        super().__init__()
        self.weight, self.bias, self.kernel = compressed(weight, block), bias, tuple(weight.shape[2:])
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
    named = json.loads(told[LIST])
    blocks = named if isinstance(named, dict) else dict.fromkeys(named, 1)  # as files were before there were blocks
    for node in list(program.graph.nodes):
        if node.op != "call_function" or node.target not in (LINEAR, CONV) or node.args[1].target not in blocks:
            continue
        weight = program.get_parameter(node.args[1].target)
        bias = program.get_parameter(node.args[2].target) if len(node.args) > 2 and node.args[2] is not None else None
        how: dict = {"block": blocks[node.args[1].target]}
        if node.target is CONV:
            how |= dict(zip(("stride", "padding", "dilation"), node.args[3:6], strict=False))
        layer = (SparseLinear if node.target is LINEAR else SparseConv)(weight, bias, **how)
        program.add_submodule(f"sparse_{node.name}", layer)
        with program.graph.inserting_before(node):
            node.replace_all_uses_with(program.graph.call_module(f"sparse_{node.name}", (node.args[0],)))
        program.graph.erase_node(node)
    program.graph.eliminate_dead_code()
    program.recompile()
    return program
