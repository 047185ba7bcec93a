"""What a channel, a head or a block is worth: each importance a function (groups, module, context).

It gives for each group one score per unit, shape (units,), or None where it has nothing to go by; the lowest go first.
Scores of several layers are compared with each other when the scope is wider than a layer; norms are divided by their
mean over the group then, as layers differ in scale.
"""

from collections.abc import Callable
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.pruning.gradients import accumulate_gradients, mean_squared_gradients
from workbench.pruning.groups import Group, Member
from workbench.steps.base import Context

Scores = list[Tensor | None]
ABLATION_SAMPLES = 64
Rows = Callable[[Member], Tensor]


def l1(groups: list[Group], module: nn.Module, context: Context) -> Scores:
    """``sum |w|`` over the filter's weights (Li et al.: Pruning Filters for Efficient ConvNets, 2017; 1608.08710)."""
    return [_relative(_mean(group, lambda m: _of(module, m).abs(), ("out",))) for group in groups]


def l2(groups: list[Group], module: nn.Module, context: Context) -> Scores:
    """``sum w^2`` over the filter's weights: the square of its length, which orders alike."""
    return [_relative(_mean(group, lambda m: _of(module, m).square(), ("out",))) for group in groups]


def group_norm(groups: list[Group], module: nn.Module, context: Context) -> Scores:
    """The mean of ``sum w^2`` over all weights that go with the unit (Fang et al.: DepGraph, 2023; 2301.12900).

    Those are the filters that compute it, the norms that scale it, and what later layers take of it.
    """
    return [_relative(_mean(group, lambda m: _of(module, m).square())) for group in groups]


def batch_norm(groups: list[Group], module: nn.Module, context: Context) -> Scores:
    """``|gamma|`` of the batch-norm (Liu et al.: Network Slimming, 2017; 1708.06519).

    Raises
    ------
    WorkbenchError
        If no channels have a batch-norm.
    """
    found = [_mean(group, lambda m: _of(module, m).abs(), ("scale",)) for group in groups]
    if all(score is None for score in found):
        raise WorkbenchError(
            "This model has no batch-norm whose scales could rank its channels.", "Choose another importance, as L2."
        )
    return found


def taylor(groups: list[Group], module: nn.Module, context: Context) -> Scores:
    """The mean over the unit's weights' tensors of ``sum |w g|``, g the gradient of the loss.

    To first order, what the loss changes without them (Molchanov et al., 2019; 1906.10771).
    """
    accumulate_gradients(module, context.dataset)

    def rows(member: Member) -> Tensor:
        gradient = module.get_parameter(member.parameter).grad
        return _of(module, member) * 0 if gradient is None else (_of(module, member) * member.rows(gradient)).abs()

    found = [_mean(group, rows) for group in groups]
    module.zero_grad()
    return found


def hessian(groups: list[Group], module: nn.Module, context: Context) -> Scores:
    """The mean over the unit's weights' tensors of ``sum h w^2 / 2``: optimal brain damage (LeCun et al., 1989).

    h is the Hessian's diagonal, taken as the mean of the squared gradients of single samples (the Fisher information).
    """
    names = sorted({member.parameter for group in groups for member in group.members})
    squares = mean_squared_gradients(module, names, context.dataset)
    return [_mean(g, lambda m: _of(module, m).square() * m.rows(squares[m.parameter]) / 2) for g in groups]


def lamp(groups: list[Group], module: nn.Module, context: Context) -> Scores:
    """``s_i / sum of s_j over s_j >= s_i``, s the squared L2 norm (Lee et al., 2021; 2010.07611).

    Within a layer the order is that of L2; the largest filter of each layer scores 1.
    """
    return [None if score is None else _lamp(score) for score in l2(groups, module, context)]


def fpgm(groups: list[Group], module: nn.Module, context: Context) -> Scores:
    """``sum over j of |w_i - w_j|``: filters near the geometric median can go (He et al., 2019; 1811.00250)."""

    def rows(member: Member) -> Tensor:
        filters = _of(module, member)
        return torch.cdist(filters, filters, compute_mode="donot_use_mm_for_euclid_dist")

    return [_relative(_mean(group, rows, ("out",))) for group in groups]


def apoz(groups: list[Group], module: nn.Module, context: Context) -> Scores:
    """One minus the average percentage of zeros after ReLU (Hu et al.: Network Trimming, 2016; 1607.03250).

    Zeros are counted in what the next layers take in, over the calibration samples.

    Raises
    ------
    WorkbenchError
        If nothing is ever zero, as without ReLU.
    """
    zeros = _zero_shares(module, {m.layer for g in groups for m in g.members if m.role == "in"}, context)
    if not any(share.any() for share in zeros.values()):
        raise WorkbenchError(
            "No activation of this model is ever zero, so zeros can't rank its channels.",
            "Choose another importance: APoZ is made for ReLU.",
        )
    return [
        _mean(g, lambda m: 1 - zeros[m.layer][m.channels], ("in",), torch.mean)  # a channel may be many features
        for g in groups
    ]


def ablation(groups: list[Group], module: nn.Module, context: Context) -> Scores:
    """The mean squared change of the model's outputs without the unit, on 64 calibration samples; each is tried."""
    inputs = torch.from_numpy(context.dataset.prepare(context.dataset.calibration.inputs[:ABLATION_SAMPLES]))
    found: Scores = []
    total, done = sum(group.units for group in groups), 0
    with torch.no_grad():
        expected = module.eval()(inputs)
        for group in groups:
            changes = torch.empty(group.units)
            for unit in range(group.units):
                with group.without(module, unit):
                    changes[unit] = (module(inputs) - expected).square().mean()
                done += 1
                context.report(share=done / total, message="Trying the model without each")
            found.append(changes)
    return found


def random(groups: list[Group], module: nn.Module, context: Context) -> Scores:
    """Chance, drawn by the seed alone: what every importance has to beat."""
    generator = torch.Generator().manual_seed(context.seed)
    return [torch.rand(group.units, generator=generator) for group in groups]


IMPORTANCES: dict[str, Callable[[list[Group], nn.Module, Context], Scores]] = {
    "l1": l1,
    "l2": l2,
    "group": group_norm,
    "bn": batch_norm,
    "taylor": taylor,
    "hessian": hessian,
    "fpgm": fpgm,
    "lamp": lamp,
    "apoz": apoz,
    "ablation": ablation,
    "random": random,
}


def _of(module: nn.Module, member: Member) -> Tensor:
    return member.rows(module.get_parameter(member.parameter))


def _mean(
    group: Group, rows: Rows, roles: tuple[str, ...] = (), reduce: Callable[..., Tensor] = torch.sum
) -> Tensor | None:
    """The mean over the group's weights (of these roles) of the sums of their rows."""
    sums = [reduce(rows(member), dim=1) for member in group.members if not roles or member.role in roles]
    return torch.stack(sums).mean(0) if sums else None


def _relative(score: Tensor | None) -> Tensor | None:
    # one unit alone, as a block is, has nothing to be relative to
    return score / score.mean().clamp(min=1e-30) if score is not None and len(score) > 1 else score


def _lamp(squares: Tensor) -> Tensor:
    ordered, order = squares.double().sort(stable=True)
    survivors = ordered.flip(0).cumsum(0).flip(0)  # of each: itself and all that are larger
    return (ordered / survivors.clamp(min=1e-300))[order.argsort()]


def _zero_shares(module: nn.Module, layers: set[str], context: Context) -> dict[str, Tensor]:
    """The share of zeros among each layer's inputs, by channel (of images: dimension 1; else the last)."""
    inputs = torch.from_numpy(context.dataset.prepare(context.dataset.calibration.inputs))
    shares: dict[str, list[Tensor]] = {name: [] for name in layers}
    with ExitStack() as stack, torch.no_grad():
        for name in layers:
            layer = module.get_submodule(name)

            def hook(layer: nn.Module, taken: tuple, name: str = name) -> None:
                channel = taken[0].ndim - 1 if isinstance(layer, nn.Linear) else 1
                zero = (taken[0] == 0).float().movedim(channel, 0).flatten(1).mean(1)
                shares[name].append(zero * len(taken[0]) / len(inputs))

            stack.callback(layer.register_forward_pre_hook(hook).remove)
        for part in inputs.split(128):
            module.eval()(part)
    return {name: torch.stack(parts).sum(0) for name, parts in shares.items() if parts}
