"""Weights on disk (safetensors, never a pickle) and their hash."""

import hashlib
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from workbench.disk import whole
from workbench.errors import WorkbenchError


def save_weights(module: nn.Module, path: Path) -> None:
    """Write the state of a module as safetensors."""
    # clones, as safetensors refuses layers that share a tensor
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in module.state_dict().items()}
    with whole(path) as unfinished:
        save_file(state, unfinished)


def load_weights(module: nn.Module, path: Path) -> None:
    """Read weights into a module of the same architecture: ``.safetensors``, or a ``weights_only`` state dict.

    Raises
    ------
    WorkbenchError
        If the file is missing, truncated, holds anything but tensors, or belongs to another architecture.
    """
    path = Path(path)
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the readers of a damaged file raise whatever they meet
        raise WorkbenchError(
            f"The weights file {path.name} can't be read: it is missing, damaged, or holds more than weights.",
            "Give a whole .safetensors file, or a state dict saved with torch.save(model.state_dict(), ...).",
        ) from error
    try:
        module.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise WorkbenchError(
            f"The weights in {path.name} are not of this architecture.", str(error).split("\n")[-1].strip()
        ) from error
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise WorkbenchError(f"The weights in {path.name} hold NaN or infinity ({name}).", "Save the model again.")


def weight_hash(module: nn.Module) -> str:
    """SHA-256 (16 hex digits) over the names, dtypes, shapes and bytes of the state: equal only for equal models."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        data = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {data.dtype} {tuple(data.shape)}".encode())
        digest.update(data.reshape(-1).view(torch.uint8).numpy().tobytes())  # numpy knows no bfloat16
    return digest.hexdigest()[:16]
