"""So many threads for a while, whoever else is inside."""

import threading

import pytest
import torch

from workbench.threads import threads


@pytest.fixture(autouse=True)
def _three():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_inside_there_are_so_many_and_afterwards_as_many_as_before():
    with threads(1):
        assert torch.get_num_threads() == 1
        with threads(2):
            assert torch.get_num_threads() == 2
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3


def test_an_error_leaves_as_many_as_before():
    with pytest.raises(KeyError), threads(1):
        raise KeyError
    assert torch.get_num_threads() == 3


def test_whoever_leaves_last_new_threads_begin_with_as_many_as_before():
    first_inside, second_inside, first_out = (threading.Event() for _ in range(3))
    seen: list[int] = []

    def first():
        with threads(1):
            first_inside.set()
            second_inside.wait(60)
        first_out.set()

    def second():
        first_inside.wait(60)
        with threads(1):
            second_inside.set()
            first_out.wait(60)

    for work in (first, second):
        threading.Thread(target=work).start()
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and thread.name.endswith(("(first)", "(second)")):
            thread.join(60)
    fresh = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    fresh.start()
    fresh.join()
    assert seen == [3]
