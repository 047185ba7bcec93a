"""What a trial leaves to take away: the very bytes, each named and sized."""

import base64
import html
import re
from concurrent.futures import Future

from widgets.files import Exports, files_page, recipe_page
from workbench import Pack, Recipe, Study
from workbench.metrics import bytes_text
from workbench.questions import EXPORTED, answer


def files(page: str) -> dict[str, bytes]:
    """What the browser would write when each link is followed, by file name."""
    links = re.findall(r"download='([^']*)' href='data:[^,']*;base64,([^']*)'", page)
    return {html.unescape(name): base64.b64decode(data) for name, data in links}


def test_every_file_is_a_link_with_its_very_bytes_and_its_size(study):
    trial, page = study.trial(1), files_page(study.trial(1))
    got = files(page)
    assert list(got)[:3] == ["lenet5-mnist-1.onnx", "lenet5-mnist-1.yaml", "lenet5-mnist-1.py"]
    assert got["lenet5-mnist-1.onnx"] == trial.artifact.read_bytes()
    assert Recipe.from_yaml(got["lenet5-mnist-1.yaml"].decode()) == trial.recipe
    assert got["lenet5-mnist-1.py"].decode() == trial.snippet()
    assert "lenet5-mnist-1-weights.safetensors" in got
    assert all(f"<td>{bytes_text(len(content))}</td>" in page for content in got.values())
    assert html.escape(trial.snippet()) in page


def test_what_the_code_imports_can_be_downloaded_too(few_digits, tmp_path):
    packed = Study("lenet5", few_digits, path=tmp_path / "study").run(Recipe([Pack()]))
    got = files(files_page(packed))
    assert got["unpacking.py"].decode() == packed.helpers()["unpacking.py"]


def test_a_failed_trial_leaves_its_recipe_and_how_it_went(study):
    assert set(files(files_page(study.trial(2)))) <= {"lenet5-mnist-2.yaml", "lenet5-mnist-2-progress.jsonl"}


def test_the_recipe_is_there_to_copy_as_yaml_and_as_python(study):
    recipe, page = study.trial(1).recipe, recipe_page(study.trial(1))
    assert html.escape(recipe.to_yaml()) in page
    assert html.escape(recipe.to_python()) in page
    assert page.count("data-copy='pre'") == 2


def test_every_other_format_is_there_with_its_size_its_files_and_code_that_runs_it(study):
    for number in (0, 1):

        def ask(trial, question, against):
            future: Future = Future()
            future.set_result(answer(trial.study, trial.number, question, against))
            return future

        panel = Exports(ask)
        panel.about(study.trial(number))
        panel.look()
        got, folder = files(panel.shown.value), study.storage.folder(number) / EXPORTED
        stem = f"lenet5-mnist-{number}"
        assert {f"{stem}.onnx", f"{stem}.pt2", f"{stem}.safetensors", f"{stem}.plan.yaml", f"{stem}.packed"} <= set(got)
        assert got[f"{stem}.pt2"] == (folder / "torch" / f"{stem}.pt2").read_bytes()
        assert bytes_text(len(got[f"{stem}.packed"])) in panel.shown.value
        assert b"def unpack" in got["unpacking.py"]
        assert f"torch.export.load(&quot;{stem}.pt2&quot;)" in panel.shown.value


def test_a_failed_trial_has_no_other_formats(study):
    panel = Exports(lambda *asked: Future())
    panel.about(study.trial(2))
    panel.look()
    assert "details" not in panel.shown.value
