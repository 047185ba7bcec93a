"""What only the browser knows or can do: its theme and address, the clipboard, full screen, keys, names of handles.

It brings the style of the page with it.
"""

from pathlib import Path

import anywidget
import traitlets


class Browser(anywidget.AnyWidget):
    """An invisible part of the page.

    Attributes
    ----------
    dark : bool
        Whether the page is dark now: as JupyterLab's theme or the system says, or as was wished.
    wish : str
        "dark", "light", or "" for as the surroundings are.
    links : bool
        Whether the address of the page is ours to read and write.
    query : dict of str to str
        What the page's address asked for.
    address : dict of str to str
        What it is to ask for from now on.
    seen : int
        How often it came onto a screen.
    copied, why : str
        What a button says that has copied, and a link to a lesson.
    """

    _esm = Path(__file__).with_name("browser.js")
    _css = Path(__file__).with_name("theme.css")
    dark = traitlets.Bool(False).tag(sync=True)
    wish = traitlets.Unicode("").tag(sync=True)
    links = traitlets.Bool(False).tag(sync=True)
    query = traitlets.Dict().tag(sync=True)
    address = traitlets.Dict().tag(sync=True)
    seen = traitlets.Int(0).tag(sync=True)
    copied = traitlets.Unicode("").tag(sync=True)
    why = traitlets.Unicode("").tag(sync=True)
