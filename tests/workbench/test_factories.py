"""What is named as package.module:factory: made where it may be, refused with a sentence where not."""

import os
import sys
from pathlib import Path

import pytest
import torch

from workbench import WorkbenchError, serve
from workbench.factories import made_by, own_module

PARTS = """
import sys
from torch import nn
from workbench import WorkbenchError

ONE = nn.Linear(3, 2)
number = 7

def fresh():
    return nn.Linear(3, 2)

def same():
    return ONE

def thing():
    return object()

def needy(width):
    return nn.Linear(width, 2)

def leaves():
    sys.exit(3)

def declines():
    raise WorkbenchError("No weights today.", "Come back tomorrow.")
"""


@pytest.fixture(autouse=True)
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "factory_parts.py").write_text(PARTS, encoding="utf-8")
    (tmp_path / "broken_parts.py").write_text("def oh no", encoding="utf-8")
    (tmp_path / "leaving_parts.py").write_text("raise SystemExit(1)", encoding="utf-8")
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    for name in ("factory_parts", "broken_parts", "leaving_parts"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def test_the_current_folder_is_looked_in(tmp_path):
    assert made_by("factory_parts:fresh").out_features == 2
    made_by("factory_parts:fresh")
    assert sys.path.count(str(tmp_path)) == 1


def test_what_a_factory_draws_goes_by_the_seed_and_leaves_no_trace():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    weights = [own_module("factory_parts:fresh", seed).weight for seed in (0, 0, 1)]
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_factory_that_always_gives_the_same_object_gives_copies():
    one = own_module("factory_parts:same")
    with torch.no_grad():
        one.weight.zero_()
    assert own_module("factory_parts:same").weight.any()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no_such_parts:fresh", r"can't be imported: No module named 'no_such_parts'\. Write package\.module:factory"),
        ("factory_parts:frech", "can't be imported: module 'factory_parts' has no attribute 'frech'"),
        (":fresh", "can't be imported: ValueError"),
        ("factory_parts:", "can't be imported"),
        (".factory_parts:fresh", "can't be imported: TypeError"),
        ("broken_parts:fresh", "can't be imported: SyntaxError"),
        ("leaving_parts:fresh", "can't be imported: SystemExit"),
        ("factory_parts:number", r"is a int, which can't be called\. Name a function that takes no arguments"),
        ("factory_parts:needy", r"failed: TypeError: .*'width'\. Let it work when it is called without arguments"),
        ("factory_parts:leaves", "failed: SystemExit: 3"),
        ("factory_parts:declines", r"^No weights today\. Come back tomorrow\.$"),
        ("factory_parts:thing", r"makes a object, not a model\. Let it return a torch\.nn\.Module"),
    ],
)
def test_what_cannot_be_made_is_refused_with_what_to_do(name, said):
    with pytest.raises(WorkbenchError, match=said):
        own_module(name)


@pytest.mark.parametrize(("variable", "value"), [("WORKBENCH_OWN_CODE", "no"), ("VOILA_BASE_URL", "/")])
def test_in_a_served_page_nothing_is_imported(variable, value, monkeypatch):
    monkeypatch.setenv(variable, value)
    with pytest.raises(WorkbenchError, match=r"which the served page never runs\. Do it in a notebook"):
        made_by("factory_parts:fresh")
    assert "factory_parts" not in sys.modules


def test_the_app_is_served_with_own_code_refused(tmp_path, monkeypatch):
    started: list[dict[str, str]] = []
    monkeypatch.delenv("WORKBENCH_OWN_CODE", raising=False)
    monkeypatch.setattr(serve, "_run", lambda command, environment: started.append(environment) or 0)
    assert serve.serve_app("127.0.0.1", 8866, browser=False, path=tmp_path / "runs") == 0
    assert started[0]["WORKBENCH_OWN_CODE"] == "no"
    assert "WORKBENCH_OWN_CODE" not in os.environ
