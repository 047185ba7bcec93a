"""The package as a whole: light to import, and with its rooms kept apart."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import workbench

FACE = {"ipywidgets", "bokeh", "jupyter_bokeh", "voila", "IPython", "jupyterlab", "widgets"}
FILES = sorted(Path(workbench.__file__).parent.rglob("*.py"))


def _imports(path: Path) -> set[str]:
    """The top-level packages that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("name", workbench.__all__)
def test_every_public_name_is_there_and_documented(name):
    assert getattr(workbench, name).__doc__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Squeeze'"):
        _ = workbench.Squeeze


def test_importing_the_package_or_declaring_a_recipe_loads_no_framework():
    code = "import sys, workbench; workbench.Recipe([workbench.Prune()]); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FILES[0].parents[0])))
def test_the_engine_imports_nothing_of_the_face(path):
    assert not _imports(path) & FACE


@pytest.mark.parametrize("package", ["torch_pruning", "ignite", "pooch"])
def test_one_file_only_imports_what_changes_often(package):
    assert len([path for path in FILES if package in _imports(path)]) == 1
