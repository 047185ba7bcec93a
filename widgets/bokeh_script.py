"""Bring Bokeh's script into the page: from this very machine, never from an outside host."""

import os

from bokeh.io import output_notebook
from bokeh.resources import Resources
from IPython import get_ipython

_loaded = False


def load_bokeh() -> None:
    """Put Bokeh's script into the notebook once, unless the server of the page has it as a file."""
    global _loaded
    if _loaded or os.environ.get("WORKBENCH_BOKEH") == "served" or get_ipython() is None:
        return
    output_notebook(Resources(mode="inline", components=["bokeh"]), hide_banner=True)
    _loaded = True
