"""What the project says of itself: that the documents and the code agree."""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from hashlib import sha256
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

import workbench
from workbench.cli import app
from workbench.models import MODELS
from workbench.steps import STEPS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "datasets").rglob("*.md"), *(ROOT / "docs").rglob("*.md")])


def tracked() -> list[Path]:
    """The files that git keeps; without git, nothing."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def plain(requirement: str) -> str:
    """The normalized name of the distribution that a requirement asks for."""
    return re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-")


def roots(path: Path) -> set[str]:
    """The packages that a file imports, at its top or later."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    named = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    named |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    return {name.split(".")[0] for name in named}


def words(text: str) -> set[str]:
    return set(re.findall(r"[\w-]+", text))


@pytest.mark.parametrize("name", workbench.__all__)
def test_every_public_name_is_in_the_readme(name: str) -> None:
    assert f"`{name}`" in README


@pytest.mark.parametrize("name", sorted(get_command(app).commands))
def test_every_command_is_in_the_readme(name: str) -> None:
    assert f"workbench {name}" in README


def test_every_command_in_the_readme_exists() -> None:
    commands = get_command(app).commands
    for name, options in re.findall(r"^workbench (\w+)(.*)$", README, re.MULTILINE):
        known = {
            option for parameter in commands[name].params for option in (*parameter.opts, *parameter.secondary_opts)
        }
        assert set(re.findall(r"(?<= )--\w[\w-]*", options.split("  ")[0])) <= known, name


def test_every_make_target_in_the_documents_exists() -> None:
    targets = set(re.findall(r"^(\w+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    asked = {
        name for path in DOCUMENTS for name in re.findall(r"(?:`|^)make (\w+)", path.read_text("utf-8"), re.MULTILINE)
    }
    assert {"app", "lab", "test", "lint", "format"} <= targets
    assert asked <= targets


def test_every_model_and_step_is_in_the_readme() -> None:
    assert set(MODELS) <= words(README)
    assert {step.__name__ for step in STEPS.values()} <= words(README)


def test_the_reference_page_is_what_the_declarations_say() -> None:
    asked = "import sys; sys.path.insert(0, 'docs'); import reference; print(reference.page(), end='')"
    made = subprocess.run([sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert made == (ROOT / "docs" / "reference.md").read_text(encoding="utf-8"), "Run `make reference`."


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_to_a_file_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_python_in_the_readme_compiles(block: str) -> None:
    compile(block, "README.md", "exec")


def test_versions_agree() -> None:
    assert PROJECT["version"] == workbench.__version__
    assert f"## [{workbench.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_dependency_has_a_known_good_version() -> None:
    asked = [*PROJECT["dependencies"], *(name for extra in PROJECT["optional-dependencies"].values() for name in extra)]
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert {plain(requirement) for requirement in asked} <= {plain(name) for name in pinned}


def test_binder_installs_what_the_project_asks_for() -> None:
    wanted = yaml.safe_load((ROOT / "binder/environment.yml").read_text(encoding="utf-8"))["dependencies"]
    torch = next(requirement for requirement in wanted if requirement.startswith("pytorch"))
    assert torch.replace("pytorch-cpu", "torch") in PROJECT["dependencies"]
    assert os.access(ROOT / "binder/postBuild", os.X_OK)
    assert os.access(ROOT / ".ci/run", os.X_OK)


def test_every_extra_that_is_named_exists() -> None:
    for path in [*(ROOT / "workbench").rglob("*.py"), *(ROOT / "widgets").rglob("*.py"), *DOCUMENTS]:
        named = re.findall(r"compression-workbench\[([\w,]+)\]", path.read_text(encoding="utf-8"))
        assert {extra for text in named for extra in text.split(",")} <= set(PROJECT["optional-dependencies"]), path


def test_every_import_is_a_declared_dependency() -> None:
    optional = [name for extra, names in PROJECT["optional-dependencies"].items() if extra != "dev" for name in names]
    declared = {plain(requirement) for requirement in [*PROJECT["dependencies"], *optional]}
    providers = packages_distributions()
    ours = {"workbench", "widgets", *sys.stdlib_module_names}
    for path in [*(ROOT / "workbench").rglob("*.py"), *(ROOT / "widgets").rglob("*.py")]:
        for name in roots(path) - ours:
            assert declared & {plain(provider) for provider in providers.get(name, [name])}, (path, name)


def test_the_project_names_no_package_host_and_no_path_of_one_machine() -> None:
    hosts = [f"{name}.{end}" for name, end in (("pypi", "org"), ("pythonhosted", "org"), ("download.pytorch", "org"))]
    forbidden = re.compile(
        "|".join([*map(re.escape, hosts), r"(?<![\w.~-])/(?:root|work|home/\w+)/", "extra-index-url"])
    )
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if path != Path(__file__):
            assert not forbidden.search(text), path


def test_no_large_file_but_data_and_weights() -> None:
    for path in tracked():
        limit = 12_000_000 if "datasets" in path.parts else 2_000_000
        assert path.stat().st_size < limit, path


@pytest.mark.parametrize("card", sorted((ROOT / "datasets").glob("*/card.md")), ids=lambda card: card.parent.name)
def test_a_dataset_has_licence_and_right_checksums(card: Path) -> None:
    assert (card.parent / "LICENSE").exists()
    assert "licence" in card.read_text(encoding="utf-8")
    for name, expected in json.loads((card.parent / "checksums.json").read_text()).items():
        assert sha256((card.parent / name).read_bytes()).hexdigest() == expected
        assert f"`{name}`" in card.read_text(encoding="utf-8")


def test_datasets_fit_into_25_megabytes() -> None:
    assert sum(path.stat().st_size for path in (ROOT / "datasets").rglob("*.xz")) < 25_000_000


@pytest.mark.parametrize(
    "weights", sorted((ROOT / "workbench/models/weights").glob("*.safetensors")), ids=lambda p: p.stem
)
def test_weights_have_a_card(weights: Path) -> None:
    card = yaml.safe_load(weights.with_suffix(".yaml").read_text(encoding="utf-8"))
    assert {"model", "dataset", "accuracy", "recipe", "weight_hash", "retrain", "licence"} <= set(card)
    assert {"train", "validation", "test"} == set(card["accuracy"])
