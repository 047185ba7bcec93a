"""What is the user's own, named by the function that makes it: ``package.module:factory``.

Such a name is code to import and to run. It is followed in Python and on the command line, and never in a page that is
served, whatever recipe, plan or file it stands in: see `refuse_if_served`.
"""

import copy
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from torch import nn

OWN_CODE = "WORKBENCH_OWN_CODE"  # "no" where the page is served; the worker processes inherit it
VOILA = "VOILA_BASE_URL"  # what Voila tells the kernels of its pages, whoever started it


def names_factory(name: str) -> bool:
    """Whether a name is one of those that `made_by` follows."""
    return ":" in name


def refuse_if_served(name: str) -> None:
    """Refuse to follow `name` in a page that is served: whoever opens it could run anything.

    Raises
    ------
    WorkbenchError
        If this process, or the one that started it, serves a page.
    """
    if os.environ.get(OWN_CODE, "yes") != "yes" or VOILA in os.environ:
        raise WorkbenchError(
            f"'{name[:80]}' names code of somebody's own, which the served page never runs.",
            "Do it in a notebook, or with `workbench run` on the command line.",
        )


def made_by(name: str) -> Any:
    """What the factory in ``package.module:factory`` makes; the current folder is looked in first.

    Raises
    ------
    WorkbenchError
        If the page is served, the module can't be imported, or the factory isn't there, can't be called, or raises.
    """
    return _call(name, _imported(name))


def own_module(name: str, seed: int = 0) -> "nn.Module":
    """A copy of the module that a factory makes, on the processor and in evaluation mode.

    Parameters
    ----------
    name : str
        ``package.module:factory``.
    seed : int
        Of torch, while the factory is called: what it draws is the same each time.

    Raises
    ------
    WorkbenchError
        As `made_by`, or if what was made is no `torch.nn.Module`, or can't be copied.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        factory = _imported(name)
        torch.manual_seed(seed)  # the first import may have drawn something, too
        module = _call(name, factory)
    if not isinstance(module, torch.nn.Module):
        raise WorkbenchError(
            f"'{name}' makes a {type(module).__name__}, not a model.", "Let it return a torch.nn.Module."
        )
    try:
        return copy.deepcopy(module).to("cpu").eval()  # a factory may give the same object each time
    except Exception as error:  # what an own module holds may raise anything
        raise WorkbenchError(
            f"The model of '{name}' can't be copied: {_said(error)}.", "Keep locks, files and connections out of it."
        ) from error


def _imported(name: str) -> Any:
    """The factory itself."""
    refuse_if_served(name)
    module, _, attribute = name.partition(":")
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return getattr(import_module(module), attribute)
    except (Exception, SystemExit) as error:  # what somebody's own module does may raise anything
        raise WorkbenchError(
            f"'{name}' can't be imported: {_said(error)}.",
            "Write package.module:factory, with the module in the current folder or on PYTHONPATH.",
        ) from error


def _call(name: str, factory: Any) -> Any:
    if not callable(factory):
        raise WorkbenchError(
            f"'{name}' is a {type(factory).__name__}, which can't be called.",
            "Name a function that takes no arguments and returns the object.",
        )
    try:
        return factory()
    except WorkbenchError:
        raise
    except (Exception, SystemExit) as error:
        raise WorkbenchError(
            f"'{name}' failed: {_said(error)}.", "Let it work when it is called without arguments."
        ) from error


def _said(error: BaseException) -> str:
    told = str(error).strip().rstrip(".")
    return told if isinstance(error, (ImportError, AttributeError)) and told else f"{type(error).__name__}: {told}"
