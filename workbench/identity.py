"""What makes a study the one it is: the names, settings and hashes that its folder keeps, and must find again."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.data import DATASETS, Dataset, fingerprint
from workbench.errors import WorkbenchError, lookup
from workbench.models import MODELS

if TYPE_CHECKING:
    from torch import nn


def identity(
    model: "str | nn.Module", dataset: str | Dataset, runtime: str, device: str, threads: int, batch: int
) -> dict[str, Any]:
    """The settings of a study of these parts, as its folder keeps them.

    Raises
    ------
    WorkbenchError
        If one of the parts is no model or no dataset, or unknown, or the zoo has no weights of it for the other.
    """
    _check(model, dataset)
    return {
        "model": model if isinstance(model, str) else type(model).__name__.lower(),
        "dataset": _title(dataset),
        "runtime": runtime,
        "device": device,
        "threads": threads,
        "batch": batch,
        "own": [kind for kind, given in (("model", model), ("dataset", dataset)) if not isinstance(given, str)],
        "hashes": _hashes(model, dataset),
    }


def check_same(known: dict[str, Any], asked: dict[str, Any], path: Path) -> None:
    """Refuse to go on with the known study in a folder if it differs from what is asked for."""
    key = next((key for key, value in asked.items() if known.get(key) != value), None)
    if key is None:
        return
    other = {"own": "another model or dataset", "hashes": "other weights or other data"}.get(key)
    raise WorkbenchError(
        f"{path} holds a study with {other or f'another {key} ({known.get(key)}, not {asked[key]})'}.",
        "Choose another path, or open that study as it is.",
    )


def _title(dataset: str | Dataset) -> str:
    return dataset if isinstance(dataset, str) else dataset.name


def _check(model: "str | nn.Module", dataset: str | Dataset) -> None:
    if not isinstance(dataset, (str, Dataset)):
        raise WorkbenchError(
            f"A {type(dataset).__name__} is not a dataset.",
            "Give a name, or wb.Dataset(train=(inputs, labels), ...).",
        )
    if not isinstance(model, str) and not hasattr(model, "state_dict"):
        raise WorkbenchError(
            f"A {type(model).__name__} is not a model.", "Give a zoo model's name, or a torch.nn.Module."
        )
    if isinstance(dataset, str):
        lookup(DATASETS, dataset, "dataset")
    if isinstance(model, str):
        _check_zoo(model, _title(dataset))


def _check_zoo(model: str, dataset: str) -> None:
    zoo = lookup(MODELS, model, "model")
    lookup(DATASETS, dataset, "dataset")
    if not zoo.weights(dataset).exists():
        raise WorkbenchError(
            f"{zoo.title} has no weights for '{dataset}'.",
            f"It has some for: {', '.join(d for d in zoo.training if zoo.weights(d).exists())}.",
        )


def _hashes(model: "str | nn.Module", dataset: str | Dataset) -> dict[str, str]:
    """What tells these weights and data from others of the same name: a trial is only true of its own."""
    data = fingerprint(dataset) if isinstance(dataset, str) else dataset.hash
    if isinstance(model, str):
        return {"model": MODELS[model].fingerprint(_title(dataset)), "dataset": data}
    from workbench.weights import weight_hash

    return {"model": weight_hash(model), "dataset": data}
