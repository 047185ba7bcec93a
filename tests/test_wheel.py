"""The wheel, installed into an empty environment, away from any checkout."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PATIENCE = 120  # seconds that a server may take to answer on a busy machine


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the files that belong to the project."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE", ".gitignore"):
        shutil.copy(ROOT / name, source)
    for name in ("workbench", "widgets", "datasets", "notebooks"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of an environment that holds the wheel.

    Third parties, gigabytes of them, are borrowed from this environment: a `.pth` line puts its site-packages on the
    path but does not read the `.pth` files in there, so an editable install of the checkout stays out of sight.
    """
    folder = tmp_path_factory.mktemp("empty") / "venv"
    venv.create(folder, with_pip=False, symlinks=True)
    layout = sysconfig.get_paths("venv", vars={"base": str(folder), "platbase": str(folder)})
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        layout["scripts"] + "/python",
        "install",
        "--quiet",
        "--no-deps",
    ]
    subprocess.run([*install, "--no-index", str(wheel)], check=True, capture_output=True)
    Path(layout["purelib"], "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    for name in ("share", "etc"):  # where Jupyter's parts keep their pages and settings
        if (Path(sys.prefix) / name).exists():
            (folder / name).symlink_to(Path(sys.prefix) / name)
    return Path(layout["scripts"])


def environment(folder: Path) -> dict[str, str]:
    """This environment without anything that leads back to the checkout."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "WORKBENCH", "JUPYTER", "VIRTUAL_ENV"))}
    return kept | {"HOME": str(folder), "NO_COLOR": "1", "COLUMNS": "200"}


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, env=environment(cwd), capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nothing_comes_from_the_checkout(installed: Path, tmp_path: Path) -> None:
    code = "import workbench, widgets, sys; print(workbench.__file__, widgets.__file__, *sys.path, sep='\\n')"
    lines = run(installed / "python", "-c", code, cwd=tmp_path).splitlines()
    assert all(Path(line).is_relative_to(installed.parent) for line in lines[:2])
    assert str(ROOT) not in lines


def test_the_command_line_is_there(installed: Path, tmp_path: Path) -> None:
    assert "doctor" in run(installed / "workbench", "--help", cwd=tmp_path)


def test_shipped_data_load(installed: Path, tmp_path: Path) -> None:
    said = run(installed / "workbench", "data", "mnist", cwd=tmp_path)
    assert "train: 55,000" in said
    assert "test: 10,000" in said


def test_every_shipped_file_is_in_the_wheel(installed: Path, tmp_path: Path) -> None:
    code = (
        "from workbench.models import MODELS; from workbench.shipped import shipped\n"
        "for m in MODELS.values():\n"
        "    for d in m.training: print(m.weights(d).name, m.weights(d).with_suffix('.yaml').name, sep='\\n')\n"
        "for n in ('datasets', 'notebooks'): print(*(p.name for p in shipped(n).rglob('*')), sep='\\n')"
    )
    listed = set(run(installed / "python", "-c", code, cwd=tmp_path).splitlines())
    assert {"lenet5-mnist.safetensors", "lenet5-mnist.yaml", "app.ipynb", "card.md", "LICENSE"} <= listed


def test_zoo_models_load(installed: Path, tmp_path: Path) -> None:
    code = (
        "from workbench.data import load_dataset; from workbench.models import MODELS, load_model\n"
        "for m in MODELS.values(): print(m.name)\n"
        "print(type(load_model('lenet5', load_dataset('mnist'))).__name__)"
    )
    assert run(installed / "python", "-c", code, cwd=tmp_path).split() == [
        "lenet300",
        "lenet5",
        "resnet20",
        "Sequential",
    ]


@pytest.fixture
def address(installed: Path, tmp_path: Path) -> Iterator[str]:
    """The address of an app that runs from the installed wheel."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [installed / "workbench", "app", "--no-browser", "--port", str(port), "--path", "studies"]
    with (tmp_path / "log").open("w") as log:
        app = subprocess.Popen(
            command, cwd=tmp_path, env=environment(tmp_path), stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield f"http://127.0.0.1:{port}/"
        finally:
            os.killpg(app.pid, signal.SIGTERM)
            try:
                app.wait(timeout=10)
            except subprocess.TimeoutExpired:
                os.killpg(app.pid, signal.SIGKILL)
                app.wait()


def test_the_app_answers(address: str, tmp_path: Path) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(address, timeout=PATIENCE) as answer:
                status, page = answer.status, answer.read().decode()
            break
        except urllib.error.HTTPError:
            raise
        except OSError:
            assert time.monotonic() < until, (tmp_path / "log").read_text()
            time.sleep(0.3)
    assert status == 200
    assert "application/vnd.jupyter.widget-view+json" in page  # the notebook ran, and gave a widget
    assert "Traceback" not in (tmp_path / "log").read_text()
