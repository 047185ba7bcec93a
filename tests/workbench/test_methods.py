"""Every method says what it computes and where it comes from."""

import inspect
import re
from collections.abc import Callable

import pytest

from workbench.distillation.registry import FEATURES, TARGETS
from workbench.pruning.importance import IMPORTANCES
from workbench.pruning.scores import SCORES
from workbench.quantization.observers import OBSERVERS
from workbench.quantization.rounding import ROUNDINGS
from workbench.slimming import PENALTIES
from workbench.sparsity import METHODS

REGISTRIES = {
    "target": TARGETS,
    "feature": FEATURES,
    "importance": IMPORTANCES,
    "score": SCORES,
    "observer": OBSERVERS,
    "rounding": ROUNDINGS,
    "penalty": PENALTIES,
    "sparsity": METHODS,
}
EVERY = [pytest.param(m, id=f"{kind}-{name}") for kind, registry in REGISTRIES.items() for name, m in registry.items()]


@pytest.mark.parametrize("method", EVERY)
def test_a_method_has_its_formula_and_its_source(method: Callable) -> None:
    said = inspect.getdoc(method) or ""
    assert re.search(r"``.*?[=|(^/*<+-].*?``|:math:|\.\. math::", said, re.DOTALL), f"no formula in: {said}"
    assert re.search(r"References\n-+\n.*\b(19|20)\d\d\b", said, re.DOTALL), f"no source in: {said}"
