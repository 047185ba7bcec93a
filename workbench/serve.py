"""Start the app (Voila) or JupyterLab on the notebooks that ship."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from importlib import util
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.factories import OWN_CODE
from workbench.shipped import shipped

LESSON = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>
:root {{ color-scheme: light dark; }}
body {{ max-width: 46rem; margin: 2rem auto; padding: 0 1rem; font: 16px/1.55 system-ui, sans-serif; }}
pre {{ padding: 0.8rem 1rem; overflow: auto; border: 1px solid #8886; border-radius: 8px; font-size: 14px; }}
h2 {{ margin-top: 2.2rem; }}
h2:target {{ text-decoration: underline; }}
.anchor-link, .clipboard-copy-txt, .jp-CopyButton, button {{ display: none; }}
</style></head><body>{body}</body></html>
"""


def serve_app(host: str, port: int, browser: bool, path: Path, idle: int = 3600) -> int:
    """Serve the page until it is stopped; returns the server's exit status.

    Parameters
    ----------
    host, port : str, int
    browser : bool
        Whether to open the page.
    path : pathlib.Path
        Folder of the studies.
    idle : int
        Seconds after which the kernel of a page that nobody has open is ended; its study is on disk.
    """
    _need("voila")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorkbenchError(f"The folder {path} can't be made: {error}.", "Choose another with --path.") from error
    command = [
        *(sys.executable, "-m", "widgets.server", str(shipped("notebooks/app.ipynb"))),
        *(f"--Voila.ip={host}", f"--port={port}", f"--show_tracebacks={False}", "--strip_sources=True"),
        *("--preheat_kernel=True", "--pool_size=1"),
        "--VoilaConfiguration.extension_denylist=['jupyterlab_pygments']",  # of scripts, only those that draw the page
        *(f"--MappingKernelManager.cull_idle_timeout={idle}", f"--MappingKernelManager.cull_interval={min(60, idle)}"),
    ]
    if not browser:
        command.append("--no-browser")
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {
            "WORKBENCH_STUDIES": str(path.resolve()),
            "WORKBENCH_BOKEH": "served",
            OWN_CODE: "no",
            "JUPYTER_PATH": os.pathsep.join(
                [str(install_template(Path(folder))), os.environ.get("JUPYTER_PATH", "")]
            ).strip(os.pathsep),
        }
        return _run([*command, "--template=workbench"], environment)


def serve_lab(port: int, browser: bool) -> int:
    """Open copies of the notebooks in JupyterLab; returns its exit status."""
    _need("jupyterlab")
    folder = Path("notebooks")
    folder.mkdir(exist_ok=True)
    for notebook in shipped("notebooks").glob("*.ipynb"):
        if not (folder / notebook.name).exists():
            shutil.copyfile(notebook, folder / notebook.name)
    command = [
        *(sys.executable, "-m", "jupyterlab", f"--port={port}", f"--notebook-dir={folder.resolve()}"),
        # nothing is asked of an outside host: no news, no look for updates, no catalogue of extensions
        *("--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"),
        "--LabApp.extension_manager=readonly",
        *(["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),  # as in a container
    ]
    return _run([*command, *([] if browser else ["--no-browser"])], dict(os.environ))


def install_template(folder: Path) -> Path:
    """Put the page's template into a folder of Jupyter's data, with Bokeh's script and the lessons beside it as files.

    Parameters
    ----------
    folder : pathlib.Path
        One of those that ``jupyter --paths`` lists under data. Where Voila runs inside Jupyter Server (as on Binder),
        ``voila.json`` has to name the template ``workbench`` and the environment ``WORKBENCH_BOKEH=voila``.
    """
    target = folder / "voila" / "templates" / "workbench"
    shutil.copytree(shipped("notebooks/template"), target, dirs_exist_ok=True)
    (target / "static").mkdir(exist_ok=True)
    bokeh = Path(str(util.find_spec("bokeh").origin)).parent  # type: ignore[union-attr]
    shutil.copyfile(bokeh / "server/static/js/bokeh.min.js", target / "static" / "bokeh.min.js")
    _write_lessons(target / "static" / "lessons")
    return folder


def _write_lessons(folder: Path) -> None:
    """Each lesson as a page to read, with nothing from an outside host."""
    from nbconvert import HTMLExporter

    folder.mkdir(exist_ok=True)
    exporter = HTMLExporter(template_name="basic", exclude_input_prompt=True, exclude_output_prompt=True)
    for notebook in shipped("notebooks").glob("[0-9]*.ipynb"):
        body, _ = exporter.from_filename(str(notebook))
        page = LESSON.format(title=notebook.stem, body=body)
        (folder / f"{notebook.stem}.html").write_text(page, encoding="utf-8")


def _run(command: list[str], environment: dict[str, str]) -> int:
    process = subprocess.Popen(command, env=environment)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())  # whoever ends this command ends the server too
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.terminate()
        return process.wait()


def _need(package: str) -> None:
    if util.find_spec(package) is None:
        raise WorkbenchError(f"{package} is not installed.", "Run `pip install 'compression-workbench[lab]'`.")
