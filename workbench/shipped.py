"""Where the data files that travel with the project lie: in the installed wheel, or in a checkout."""

from pathlib import Path

from workbench.errors import WorkbenchError

_PACKAGE = Path(__file__).parent


def shipped(name: str) -> Path:
    """The path of a shipped file or folder, such as ``datasets/mnist`` or ``notebooks/app.ipynb``.

    Raises
    ------
    WorkbenchError
        If this installation lacks it.
    """
    for root in (_PACKAGE / "_shipped", _PACKAGE.parent):
        if (root / name).exists():
            return root / name
    raise WorkbenchError(f"This installation lacks {name}.", "Install compression-workbench again.")
