"""A file comes in parts, each asked for; what is too large is refused, what is stopped leaves nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from widgets.upload import Upload


class Page:
    """What the browser does with the control: sends parts as long as it is asked for them."""

    def __init__(self, upload: Upload, size: int = 3):
        self.upload, self.size = upload, size
        self.said: list[dict] = []
        upload.send = lambda content, buffers=None: self.said.append(content)  # type: ignore[method-assign]

    def sends(self, content: dict, *buffers: bytes) -> None:
        self.upload._handle_custom_msg(content, [memoryview(buffer) for buffer in buffers])

    def gives(self, name: str, content: bytes) -> None:
        self.sends({"act": "begin", "name": name, "size": len(content)})
        for at in range(0, len(content), self.size):
            assert self.said[-1] == {"say": "next"}
            self.sends({"act": "part"}, content[at : at + self.size])


@pytest.fixture
def page() -> Page:
    return Page(Upload("own.data", ".npz,.zip", most=100))


@given(st.binary(max_size=100), st.integers(1, 101))
def test_what_arrives_is_what_was_sent(content, size):
    page = Page(Upload("own.data", ".npz,.zip", most=100), size)
    page.gives("mine.npz", content)
    assert page.upload.file == ("mine.npz", content)
    assert page.said[-1] == {"say": "done", "name": "mine.npz", "size": len(content)}


def test_a_new_file_takes_the_place_of_the_former_one_at_once(page):
    page.gives("first.npz", b"first")
    page.sends({"act": "begin", "name": "second.npz", "size": 6})
    assert page.upload.file is None
    page.sends({"act": "part"}, b"second")
    assert page.upload.file == ("second.npz", b"second")


def test_a_file_over_the_limit_is_refused_with_a_sentence_before_it_is_sent(page):
    page.sends({"act": "begin", "name": "huge.npz", "size": 101})
    assert [told["say"] for told in page.said] == ["refused"]
    assert "huge.npz is larger than" in page.said[0]["why"]
    page.sends({"act": "part"}, b"all the same")
    assert page.upload.file is None


@pytest.mark.parametrize("parts", [[b"12345"], [b"12", b"345"], [b""], []], ids=["more", "later", "empty", "none"])
def test_parts_that_are_not_as_announced_are_refused(page, parts):
    page.sends({"act": "begin", "name": "odd.npz", "size": 4})
    for part in parts or [None]:
        page.sends({"act": "part"}, *([] if part is None else [part]))
    assert page.said[-1]["say"] == "refused"
    assert page.upload.file is None


def test_what_is_stopped_is_forgotten(page):
    page.sends({"act": "begin", "name": "long.npz", "size": 50})
    page.sends({"act": "part"}, b"half of it")
    page.sends({"act": "stop"})
    page.sends({"act": "part"}, b"the rest")
    assert page.upload.file is None
    assert not page.upload._parts


def test_messages_that_mean_nothing_change_nothing(page):
    for content in ({}, {"act": "fly"}, {"act": "part"}):
        page.sends(content, b"1")
    assert page.upload.file is None
    assert page.said == []
