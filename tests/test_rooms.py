"""Who may import whom."""

import ast
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

import workbench

ROOT = Path(__file__).parent.parent
FACES = {"widgets", "ipywidgets", "bokeh", "jupyter_bokeh", "IPython", "ipykernel", "jupyterlab", "voila", "traitlets"}
VOLATILE = {"torch_pruning", "onnx", "onnxruntime", "openvino", "ignite", "pebble", "pooch"}
OPEN_TO_WIDGETS = {
    *(
        "confusion",
        "data",
        "errors",
        "estimates",
        "goals",
        "handed",
        "own",
        "knobs",
        "metrics",
        "models",
        "pair",
        "questions",
        "runtimes",
        "steps",
    ),
    *("storage", "study", "tasks", "workers"),
}


def files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """The dotted names of everything that a file imports, at its top or later."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def roots(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


def in_subprocess(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("path", files("workbench"), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_engine_knows_no_face(path: Path) -> None:
    assert not roots(path) & FACES


@pytest.mark.parametrize("path", files("widgets"), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_face_uses_only_what_is_public(path: Path) -> None:
    for name in imports(path):
        if name.startswith("workbench."):
            part = name.split(".")[1]
            assert part in OPEN_TO_WIDGETS or part in workbench.__all__, name
            assert not any(word.startswith("_") for word in name.split(".")), name


def test_each_volatile_library_is_imported_by_one_file() -> None:
    users = defaultdict(set)
    for path in files("workbench") + files("widgets"):
        for name in roots(path) & VOLATILE:
            users[name].add(str(path.relative_to(ROOT)))
    for name in ("onnx", "onnxruntime"):
        users[name].discard("workbench/runtimes/onnx_quantizers.py")  # the other half of that runtime
    assert {name: found for name, found in users.items() if len(found) > 1} == {}


def test_importing_the_engine_is_light() -> None:
    heavy = ("torch", "onnxruntime", "onnx", "scipy", "pydantic", "numpy")
    assert in_subprocess(f"import sys, workbench; print([m for m in {heavy} if m in sys.modules])") == "[]"


def test_declaring_a_recipe_needs_no_torch() -> None:
    code = "import sys; from workbench import Prune, Recipe; Recipe([Prune()]).to_yaml(); print('torch' in sys.modules)"
    assert in_subprocess(code) == "False"


def test_public_names_can_all_be_imported() -> None:
    for name in workbench.__all__:
        assert getattr(workbench, name).__name__ == name
    assert dir(workbench) == sorted(workbench.__all__)
