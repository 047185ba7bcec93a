"""A place for one file, dropped on it or chosen, that comes in parts."""

from collections.abc import Sequence
from pathlib import Path

import anywidget
import traitlets

from widgets.texts import text
from workbench.own import LARGEST_FILE

TOLD = ("drop", "stop", "one", "kind", "large", "unreadable")


class Upload(anywidget.AnyWidget):
    """A button and a place to drop a file on.

    ipywidgets' own control sends a file in one message, which servers cut off above their limit without a word, and
    takes nothing that is dropped.

    Parameters
    ----------
    key : str
        Of the texts of its button and its tooltip (``key.help``).
    accept : str
        Endings of names, such as ".npz,.zip".
    most : int
        Bytes that are taken at all.

    Attributes
    ----------
    file : (str, bytes) or None
        Name and content of what has arrived.
    """

    _esm = Path(__file__).with_name("upload.js")
    accept = traitlets.Unicode("").tag(sync=True)
    most = traitlets.Int(0).tag(sync=True)
    words = traitlets.Dict().tag(sync=True)
    held = traitlets.Unicode("", help="What the page says when it is drawn again.").tag(sync=True)
    file = traitlets.Instance(tuple, allow_none=True)

    def __init__(self, key: str, accept: str, most: int = LARGEST_FILE):
        blanks = {name: f"{{{name}}}" for name in ("name", "size", "most", "accept")}  # which the page fills in
        words = {name: text(f"upload.{name}", **blanks) for name in TOLD}
        words |= {"label": text(key), "help": text(f"{key}.help")}
        super().__init__(accept=accept, most=most, words=words)
        self._name, self._size, self._parts = "", 0, bytearray()
        self.on_msg(self._heard)

    def _heard(self, _: object, content: dict, buffers: Sequence[memoryview]) -> None:
        act = content.get("act")
        if act == "begin":
            self._begin(str(content.get("name", "")), int(content.get("size", 0)))
        elif act == "part" and self._name:
            self._take(buffers)
        elif act == "stop":
            self._forget()

    def _begin(self, name: str, size: int) -> None:
        self._forget()
        if size > self.most:  # the page says it before anything is sent
            self.send({"say": "refused", "why": text("upload.larger", name=name, most=f"{self.most / 1e6:.0f} MB")})
            return
        self._name, self._size = name, size
        self._go_on()

    def _take(self, buffers: Sequence[memoryview]) -> None:
        for buffer in buffers:
            self._parts += buffer
        if len(self._parts) > self._size or not any(len(buffer) for buffer in buffers):
            self.send({"say": "refused", "why": text("upload.unreadable", name=self._name)})
            self._forget()
        else:
            self._go_on()

    def _go_on(self) -> None:
        if len(self._parts) < self._size:
            self.send({"say": "next"})
            return
        name, content = self._name, bytes(self._parts)
        self._forget()
        self.held = name
        self.send({"say": "done", "name": name, "size": len(content)})
        self.file = (name, content)

    def _forget(self) -> None:
        self._name, self._size, self._parts = "", 0, bytearray()
        self.file, self.held = None, ""
