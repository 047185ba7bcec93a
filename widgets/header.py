"""The line above everything: what this is, what runs, and how the page looks."""

from collections.abc import Callable

import ipywidgets as w

from widgets.browser import Browser
from widgets.texts import LANGUAGES, spoken, text


class Header(w.HBox):
    """Title, work under way, link, language and theme.

    Parameters
    ----------
    browser : Browser
    work : Widget
        What shows the work under way.
    on_language : callable
        Called with the language that was picked.
    """

    def __init__(self, browser: Browser, work: w.Widget, on_language: Callable[[str], None]):
        title = w.HTML(f"<h1>Compression Workbench</h1><span>{text('subtitle')}</span>").add_class("wb-title")
        link = w.HTML(f"<button type='button' class='wb-copy' data-copy='link'>{text('link')}</button>")
        link.layout.display = "" if browser.links else "none"
        self.theme = w.Button(description="◐", tooltip=text("theme"), layout=w.Layout(width="34px"))
        self.theme.on_click(lambda _: setattr(browser, "wish", "light" if browser.dark else "dark"))
        self.language = w.Dropdown(
            options=[(name, code) for code, name in LANGUAGES.items()],
            value=spoken(),
            tooltip=text("language"),
            layout=w.Layout(width="96px"),
        )
        self.language.observe(lambda change: on_language(change["new"]), "value")
        super().__init__([title, work, link, self.language, self.theme])
        self.add_class("wb-header")
