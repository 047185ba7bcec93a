"""Safetensors and a plan: weights that can't run code, and a text that says which layers they are for."""

import copy
import inspect
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from workbench.errors import WorkbenchError
from workbench.exports import planned
from workbench.exports.base import Export, Run
from workbench.exports.onnx import floats_note
from workbench.factories import names_factory
from workbench.weights import load_weights, save_weights

if TYPE_CHECKING:
    from torch import nn

    from workbench.trial import Trial

SNIPPET = """
import torch  # pip install torch safetensors pyyaml
from {package} import {build}  # {whose}
from planned import load_planned  # the file planned.py beside this one

model = load_planned({build}(), "{stem}.plan.yaml", "{stem}.safetensors")
with torch.inference_mode():
    logits = model(torch.from_numpy(inputs))
"""
SEQUENTIAL = """
from collections import OrderedDict

import torch


def build():
    return torch.nn.Sequential(OrderedDict((name, torch.nn.Identity()) for name in {names}))
"""


class SafetensorsPlan(Export):
    """For whoever goes on in PyTorch: the module itself, to train or to change."""

    name = "safetensors"
    title = "Safetensors and plan"
    suffixes = (".safetensors", ".plan.yaml")

    def snippet(self, trial: "Trial", stem: str) -> str:
        name, package, build, whose = _uncut(trial)[0], "architecture", "build", "your own code, which makes the model"
        if names_factory(name):
            package, _, build = name.partition(":")
        elif (file := _module_name(stem)) + ".py" in self.helpers(trial, stem):
            package, whose = file, f"the file {file}.py beside this one"
        return SNIPPET.format(stem=stem, package=package, build=build, whose=whose).lstrip("\n")

    def helpers(self, trial: "Trial", stem: str) -> dict[str, str]:
        code = _architecture(trial)
        return {"planned.py": inspect.getsource(planned)} | ({_module_name(stem) + ".py": code} if code else {})

    def _write(self, trial: "Trial", files: tuple[Path, ...]) -> str:
        module = trial.module()
        save_weights(module, files[0])
        plan = {"architecture": _uncut(trial)[0], "layers": layers_of(module)}
        files[1].write_text(yaml.safe_dump(plan, sort_keys=False, default_flow_style=None), encoding="utf-8")
        return floats_note(trial)

    def _load(self, trial: "Trial", files: tuple[Path, ...]) -> Run:
        import torch

        plan = yaml.safe_load(files[1].read_text(encoding="utf-8"))
        try:
            module = planned.put_together(_uncut(trial)[1], plan["layers"])
            load_weights(module, files[0])
        except WorkbenchError as error:
            raise WorkbenchError(
                "What this trial was cut to has a layer that torch.nn does not have, so that no plan can name it.",
                "Export 'torch' or 'onnx' instead.",
            ) from error
        return lambda inputs: module.eval()(torch.from_numpy(inputs)).detach().numpy()


def _module_name(stem: str) -> str:
    """Of the file that makes the architecture: no other trial's, and none of the user's own."""
    return re.sub(r"\W", "_", f"{stem}_architecture")


def layers_of(module: "nn.Module") -> dict[str, dict[str, Any]]:
    """The layers of `torch.nn` in a module, by name: type, and the arguments that make it.

    Parameters
    ----------
    module : torch.nn.Module
    """
    from torch import nn

    from workbench.pruning.blocks import Skip

    found = {}
    for name, layer in module.named_modules():
        if not name or list(layer.children()):
            continue
        layer = nn.Identity() if isinstance(layer, Skip) else layer
        if type(layer).__module__.startswith("torch.nn.modules."):
            found[name] = {"type": type(layer).__name__, "arguments": _arguments(layer)}
    return found


def _arguments(layer: "nn.Module") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in inspect.signature(type(layer)).parameters:
        value = getattr(layer, name, None)
        if name == "bias" and not isinstance(value, bool):
            found[name] = value is not None
        elif isinstance(value, (bool, int, float, str, tuple, list)):
            found[name] = list(value) if isinstance(value, tuple) else value
    return found


def _uncut(trial: "Trial") -> tuple[str, "nn.Module"]:
    """The architecture that the trial was cut from: its name, and a copy."""
    from workbench.carry_out import PLAN
    from workbench.models import architecture

    study = trial.study
    plan = json.loads((study.storage.folder(trial.number) / PLAN).read_text(encoding="utf-8"))
    if plan["architecture"]:
        return plan["architecture"], architecture(plan["architecture"], study.dataset, trial.recipe.seed)
    return str(study.settings["model"]), copy.deepcopy(study.module)


def _architecture(trial: "Trial") -> str:
    """Code that makes the architecture of a zoo model or of layers in a row; "" where only the user has it."""
    from torch import nn

    from workbench.models import MODELS

    name, module = _uncut(trial)
    if names_factory(name):
        return ""
    if type(module) is nn.Sequential and list(layers_of(module)) == list(module._modules):
        return SEQUENTIAL.format(names=list(layers_of(module))).lstrip("\n")
    zoo = MODELS.get(name)
    if zoo is None or not zoo.call:
        return ""
    dataset = trial.study.dataset
    call = zoo.call.format(channels=dataset.sample_shape[0], classes=len(dataset.classes))
    return f"{inspect.getsource(sys.modules[type(module).__module__])}\n\ndef build():\n    return {call}\n"
