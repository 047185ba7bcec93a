"""What a step lays on a model and every later training must respect: zeros that stay zero, shared values, few bits."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager

from torch import Tensor, nn
from torch.nn.utils import parametrize


class Constraint(ABC):
    """Something that holds while a module is trained.

    A constraint is a declaration: what it needs to know (which weights are zero, say) it reads from the module when it
    takes hold, so that steps in between may change the module's shape.
    """

    @abstractmethod
    def held(self, module: nn.Module) -> AbstractContextManager[None]:
        """A context manager; inside, `module` obeys, and afterwards its plain weights do."""

    def zeroed(self, module: nn.Module) -> None:  # noqa: B027 (most needn't know)
        """Told that weights of the module were set to zero, for good."""


class KeepZeros(Constraint):
    """Parameters whose zeros stay zero: a mask is multiplied into each wherever it is used.

    Parameters
    ----------
    names : iterable of str
        Names of parameters; one that the module lacks is passed over.
    """

    def __init__(self, names: Iterable[str]):
        self.names = frozenset(names)

    @contextmanager
    def held(self, module: nn.Module) -> Iterator[None]:
        masks = {n: (p != 0).to(p.dtype) for n, p in plain_parameters(module).items() if n in self.names}
        with parametrized(module, {name: _Mask(mask) for name, mask in masks.items()}):
            yield


def plain_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters as they are stored, by the names they have while no constraint holds them."""
    return {
        name.replace("parametrizations.", "").removesuffix(".original"): parameter
        for name, parameter in module.named_parameters()
    }


@contextmanager
def parametrized(module: nn.Module, ways: dict[str, nn.Module]) -> Iterator[None]:
    """Compute parameters, by name, through modules of their own; afterwards they hold what was computed last."""
    places = {name: name.rpartition(".")[::2] for name in ways}
    for name, (owner, parameter) in places.items():
        parametrize.register_parametrization(module.get_submodule(owner), parameter, ways[name], unsafe=True)
    try:
        yield
    finally:
        for owner, parameter in places.values():
            layer = module.get_submodule(owner)
            if parametrize.is_parametrized(layer, parameter):
                parametrize.remove_parametrizations(layer, parameter, leave_parametrized=True)


class _Mask(nn.Module):
    def __init__(self, mask: Tensor):
        super().__init__()
        self.register_buffer("mask", mask)
        self.mask: Tensor

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.mask

    def right_inverse(self, weight: Tensor) -> Tensor:
        return weight
