"""N:M sparsity: of every M neighbouring weights N are kept."""

import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.pruning.weights import own_ratios, prunable, scores, set_zeros
from workbench.steps.base import Context, Work
from workbench.steps.prune import Prune


def prune_n_of_m(work: Work, step: Prune, context: Context) -> None:
    """Zero all but the N most important of every M weights that follow each other along a layer's inputs.

    Of each group of M scores ``s_1 ... s_M``, weight i stays if fewer than N of the others are above ``s_i``. A layer
    whose inputs don't divide by M is left whole, and named in the notes; so is one whose own ratio is 0.

    References
    ----------
    Mishra et al.: Accelerating Sparse Deep Neural Networks, 2021 (arXiv 2104.08378). Zhou et al.: Learning N:M
    Fine-grained Structured Sparse Neural Networks From Scratch, 2021 (arXiv 2102.04010).

    Raises
    ------
    WorkbenchError
        If N is not below M, no layer divides by M, or a layer has a ratio of its own that is not 0.
    """
    n, m = step.n, step.m
    if n >= m:
        raise WorkbenchError(f"Keeping {n} of every {m} weights removes nothing.", "Choose an N below M, such as 2:4.")
    names = prunable(work.module)
    own = own_ratios(step.layers, names)
    if any(own.values()):
        raise WorkbenchError(
            "With N:M a layer can't have a ratio of its own: N and M say it.", "Give 0 to leave a layer whole."
        )
    found = scores(work.module, [name for name in names if name not in own], step.importance, context)
    kept, whole = {}, []
    for name, score in found.items():
        if score.shape[inputs(work.module, name)] % m:
            whole.append(name.removesuffix(".weight"))
        else:
            kept[name] = keep_n_of_m(score, n, m, inputs(work.module, name))
    if not kept:
        raise WorkbenchError(
            f"No layer's inputs divide by {m}, so none can keep {n} of every {m}.",
            "Choose another M, or prune weights.",
        )
    if whole:
        work.notes.append(f"Left whole, as their inputs don't divide by {m}: {', '.join(whole)}.")
    set_zeros(
        work,
        kept,
        f"The runtimes here have no {n}:{m} kernels: they compute the zeros like any other number, so they make "
        "the file neither smaller nor faster.",
    )


def inputs(module: nn.Module, name: str) -> int:
    """The dimension of a weight that runs over its layer's inputs."""
    return 0 if isinstance(module.get_submodule(name.rpartition(".")[0]), nn.modules.conv._ConvTransposeNd) else 1


def keep_n_of_m(scores: Tensor, n: int, m: int, dim: int = 1) -> Tensor:
    """Whether each weight is among the `n` highest of its `m` neighbours along `dim`; of equals the first are."""
    groups = scores.movedim(dim, -1).unflatten(-1, (-1, m))
    best = groups.argsort(dim=-1, descending=True, stable=True)[..., :n]
    kept = torch.zeros_like(groups, dtype=torch.bool).scatter(-1, best, True)
    return kept.flatten(-2).movedim(-1, dim)
