"""Whole channels cut out, with all that depends on them (the one file that imports torch-pruning)."""

import copy
import warnings

import torch
from torch import Tensor, nn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import torch_pruning as tp

from workbench.errors import WorkbenchError
from workbench.pruning.gradients import accumulate_gradients
from workbench.steps.base import Context, Work
from workbench.steps.prune import Prune

MOST = 0.95  # of one layer's channels, whatever the scope says
IMPORTANCE = {
    "l1": lambda: tp.importance.GroupMagnitudeImportance(p=1),
    "l2": lambda: tp.importance.GroupMagnitudeImportance(p=2),
    "taylor": lambda: tp.importance.GroupTaylorImportance(),
    "random": lambda: tp.importance.RandomImportance(),
}
Plan = list[tuple[str, bool, list[int]]]


def prune_channels(work: Work, step: Prune, context: Context) -> None:
    """Cut the least important channels out of every layer but the last.

    The edit is made on a copy and checked by a forward pass. If that fails, each layer is tried alone; those that
    break the model are left as they are, and named in the notes.

    Raises
    ------
    WorkbenchError
        If no layer can be pruned at all.
    """
    example = torch.from_numpy(context.dataset.prepare(context.dataset.calibration.inputs[:2]))
    with torch.no_grad():
        expected = work.module.eval()(example).shape
    outputs = _outputs(work.module, example)
    inner = [name for name, _ in _layers(work.module) if name not in outputs]
    if not inner:
        raise WorkbenchError(
            "This model has no channels to prune: all that its layers compute are its outputs.",
            "Prune single weights (granularity: weight) instead.",
        )
    skipped: list[str] = []
    edited = _attempt(work.module, example, expected, step, context, outputs)
    if edited is None:
        skipped = [name for name in inner if not _survives(work.module, example, expected, name)]
        if 0 < len(skipped) < len(inner):
            edited = _attempt(work.module, example, expected, step, context, outputs + skipped)
    if edited is None:
        raise WorkbenchError(
            "The channels of this model can't be pruned: every edit breaks its forward pass.",
            "Prune single weights (granularity: weight) instead.",
        )
    module, plan = edited
    if skipped:
        work.notes.append(
            f"Left whole, as the model no longer runs when their channels are cut: {', '.join(skipped)}."
            " (A shortcut with a fixed number of channels is the usual cause.)"
        )
    if step.ratio > 0 and not plan:
        work.notes.append(
            "No channel was removed: the layers are too narrow for this ratio"
            f"{f' rounded to {step.round_to}' if step.round_to > 1 else ''}."
        )
    work.module = module
    work.plan.extend(plan)


def replay(module: nn.Module, example: Tensor, plan: Plan) -> None:
    """Make the structural edits of `plan` on an unpruned module, in place."""
    if plan:
        with _quiet():
            graph = tp.DependencyGraph().build_dependency(module.eval(), example_inputs=example)
            graph.load_pruning_history([(name, bool(out), list(idxs)) for name, out, idxs in plan])


def _attempt(
    module: nn.Module, example: Tensor, expected: torch.Size, step: Prune, context: Context, ignored: list[str]
) -> tuple[nn.Module, Plan] | None:
    module = copy.deepcopy(module).eval()
    if step.importance == "taylor":
        accumulate_gradients(module, context.dataset)
    torch.manual_seed(context.seed)
    with _quiet():
        pruner = _Pruner(
            module,
            example,
            importance=IMPORTANCE[step.importance](),
            pruning_ratio=step.ratio,
            max_pruning_ratio=MOST,
            global_pruning=step.scope == "global",
            round_to=step.round_to if step.round_to > 1 else None,
            ignored_layers=[module.get_submodule(name) for name in ignored],
        )
        try:
            pruner.step()
        except Exception:  # an edit that breaks a model may raise anything, in its own code too
            return None
    module.zero_grad()
    plan = [(name, bool(out), [int(i) for i in idxs]) for name, out, idxs in pruner.pruning_history() if idxs]
    return (module, plan) if _runs(module, example, expected) else None


class _Pruner(tp.pruner.BasePruner):
    def _round_to(self, n_pruned: int, current_channels: int, round_to: int) -> int:
        # Theirs rounds what is kept down, to nothing at all in a narrow layer, which then stays as it was.
        if current_channels < round_to:
            return 0
        kept = round_to * round((current_channels - n_pruned) / round_to)
        return int(current_channels - min(max(kept, round_to), current_channels // round_to * round_to))


def _outputs(module: nn.Module, example: Tensor) -> list[str]:
    """The names of the layers whose channels are the model's own outputs: nothing downstream takes them in."""
    graph = tp.DependencyGraph().build_dependency(module, example_inputs=example)
    found = []
    for name, layer in _layers(module):
        group = _group(graph, layer, [0])
        consumed = any(
            graph.is_in_channel_pruning_fn(dep.handler)
            and isinstance(dep.target.module, (nn.Linear, nn.modules.conv._ConvNd))
            for dep, _ in group
        )
        if not consumed:
            found.append(name)
    return found


def _survives(module: nn.Module, example: Tensor, expected: torch.Size, name: str) -> bool:
    """Whether the model still runs when the first channel of one layer is cut."""
    module = copy.deepcopy(module)
    layer = dict(_layers(module))[name]
    try:
        with _quiet():
            graph = tp.DependencyGraph().build_dependency(module, example_inputs=example)
            if layer.weight.shape[0] > 1:
                _group(graph, layer, [0]).prune()
        return _runs(module, example, expected)
    except Exception:  # an edit that breaks a model may raise anything, in its own code too
        return False


def _runs(module: nn.Module, example: Tensor, expected: torch.Size) -> bool:
    try:
        with torch.no_grad():
            return module(example).shape == expected and all(p.numel() for p in module.parameters())
    except Exception:  # an edit that breaks a model may raise anything, in its own code too
        return False


def _layers(module: nn.Module) -> "list[tuple[str, nn.Linear | nn.modules.conv._ConvNd]]":
    return [(n, m) for n, m in module.named_modules() if isinstance(m, (nn.Linear, nn.modules.conv._ConvNd))]


def _group(graph: "tp.DependencyGraph", layer: nn.Module, channels: list[int]) -> "tp.dependency.Group":
    return graph.get_pruning_group(layer, graph.get_pruner_of_module(layer).prune_out_channels, channels)


def _quiet() -> warnings.catch_warnings:
    return warnings.catch_warnings(action="ignore")
