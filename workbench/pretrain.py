"""Train a zoo model from scratch by its recipe, and write its weights and card."""

import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

import torch
import yaml

from workbench.data import load_dataset
from workbench.disk import write, writing
from workbench.errors import WorkbenchError, lookup
from workbench.estimates import share_of
from workbench.models import MODELS, fitted
from workbench.steps.base import Context, Work
from workbench.training import accuracy
from workbench.weights import save_weights, weight_hash


def pretrain(
    name: str, dataset_name: str, threads: int, out: Path | None = None, report: Callable[..., None] | None = None
) -> Path:
    """Retrain a zoo model; the same threads on the same machine give the same weights.

    Parameters
    ----------
    name, dataset_name : str
        A zoo model and one of the datasets it declares a training for.
    threads : int
        The number of CPU threads.
    out : Path
        Folder of the weights and the card; the zoo's own if left out.
    report : callable
        Told of the progress, as `training.train` says it.

    Returns
    -------
    Path
        The weights file.
    """
    model = lookup(MODELS, name, "model")
    if dataset_name not in model.training:
        raise WorkbenchError(
            f"{model.title} declares no training on '{dataset_name}'.", f"Choose one of: {', '.join(model.training)}."
        )
    recipe = model.training[dataset_name]
    dataset = fitted(name, load_dataset(dataset_name))
    path = (out or model.weights(dataset_name).parent) / model.weights(dataset_name).name
    with writing(path.parent, "Choose another folder with --out."):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    torch.set_num_threads(threads)
    torch.manual_seed(recipe.seed)
    module = model.build(dataset.sample_shape[0], len(dataset.classes))
    work = Work(module)
    context = Context(dataset, module, seed=recipe.seed, report=report or (lambda **facts: None))
    for step in recipe:
        step.apply(work, context)

    with writing(path.parent, "Choose another folder with --out."):
        save_weights(module, path)
    splits = {k: getattr(dataset, k) for k in ("train", "validation", "test")}
    card = {
        "model": f"{model.title} ({model.summary[0].lower()}{model.summary[1:-1]})",
        "parameters": sum(p.numel() for p in module.parameters()),
        "dataset": {k: len(split) for k, split in splits.items()} | {"name": dataset_name, "classes": dataset.classes},
        "accuracy": {k: _judge(accuracy(module, dataset, split), len(split)) for k, split in splits.items()},
        "chosen_by": "the best epoch on the validation split; the test split was looked at once, for this card",
        "recipe": recipe.to_dict(),
        "weight_hash": weight_hash(module),
        "trained": {"with": f"torch {torch.__version__}", "threads": threads, "on": date.today().isoformat()},
        "retrain": f"workbench train {name} --dataset {dataset_name} --threads {threads}",
        "licence": "Apache-2.0, as the rest of the project",
    }
    write(path.with_suffix(".yaml"), yaml.safe_dump(card, sort_keys=False))
    return path


def _judge(value: float, count: int) -> dict[str, float]:
    estimate = share_of(round(value * count), count)
    return {"value": round(value, 5), "low": round(estimate.low, 5), "high": round(estimate.high, 5)}
