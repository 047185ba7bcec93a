"""Bring Bokeh's script into the page: from this very machine, never from an outside host."""

import os

from bokeh.io import output_notebook
from bokeh.resources import Resources
from IPython import get_ipython

_loaded = False


def load_bokeh() -> None:
    """Put Bokeh's script into the notebook once, unless the server of the page has it as a file."""
    global _loaded
    served = os.environ.get("WORKBENCH_BOKEH")  # "served": by every page of this server; "voila": by Voila's pages
    if served == "voila" and os.environ.get("SERVER_SOFTWARE", "").startswith("voila"):
        served = "served"
    if _loaded or served == "served" or get_ipython() is None:
        return
    output_notebook(Resources(mode="inline", components=["bokeh"]), hide_banner=True)
    _loaded = True
