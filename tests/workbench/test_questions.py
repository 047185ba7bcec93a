"""Questions about a trial: answered once, kept in its folder, plain data."""

import base64
import errno
import io
import os

import numpy as np
import pytest
from PIL import Image

from workbench import WorkbenchError
from workbench.closeups import closeups
from workbench.disk import FREE
from workbench.questions import QUESTIONS, answer, kept, picture


@pytest.fixture(scope="module")
def changes(study):
    (study.storage.folder(1) / "answer-changes.json").unlink(missing_ok=True)  # another test may have asked already
    assert kept(study, 1, "changes") is None
    return answer(study, 1, "changes")


def test_what_changed_has_sentences_a_row_for_each_layer_and_the_flipped_samples(study, changes):
    comparison = study.compare(0, 1)
    assert changes.sentences == comparison.sentences()
    assert [row["layer"] for row in changes.table] == [layer.name for layer in comparison.layers]
    for kind, samples in changes.flips.items():
        index = getattr(comparison, kind)
        assert [sample["index"] for sample in samples] == index[:12].tolist()
        for sample in samples:
            assert sample["label"] == str(study.dataset.validation.labels[sample["index"]])
            assert sample["before"] != sample["after"]
            assert sample["picture"].startswith("data:image/png;base64,")


def test_it_is_kept_and_a_broken_file_is_asked_for_again(study, changes):
    assert kept(study, 1, "changes") == changes
    file = study.storage.folder(1) / "answer-changes.json"
    file.write_text(file.read_text()[:50])
    assert kept(study, 1, "changes") is None
    assert answer(study, 1, "changes").flips == changes.flips
    assert kept(study, 1, "changes") is not None


@pytest.mark.parametrize(
    "other",
    [
        ("workbench.questions.processor", lambda: "Another processor"),
        ("workbench.runtimes.onnx_runtime.OnnxRuntime.version", lambda runtime: "99.0"),
        ("workbench.__version__", "99.0"),
    ],
    ids=["processor", "runtime", "workbench"],
)
def test_what_another_machine_or_version_answered_is_asked_again(study, changes, monkeypatch, other):
    assert kept(study, 1, "changes") is not None
    monkeypatch.setattr(*other)
    assert kept(study, 1, "changes") is None


@pytest.mark.parametrize("part", ["_activations", "profiled"])
def test_what_a_runtime_refused_to_tell_is_asked_again(study, monkeypatch, part):
    def refuse(*given):
        raise WorkbenchError("No room.", "Free some.")

    (study.storage.folder(1) / "answer-changes-0.json").unlink(missing_ok=True)
    with monkeypatch.context() as patched:
        patched.setattr(f"workbench.compare.{part}", refuse)
        partly = answer(study, 1, "changes", 0)
    assert kept(study, 1, "changes", 0) is None
    whole = answer(study, 1, "changes", 0)
    assert (whole.sentences, whole.table) != (partly.sentences, partly.table)
    assert kept(study, 1, "changes", 0) == whole


def test_a_format_that_was_not_installed_is_written_once_it_is(study, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("workbench.runtimes.onnx_runtime.OnnxRuntime.version", lambda runtime: None)
        answered = answer(study, 1, "exports")
        assert kept(study, 1, "exports") == answered
    assert "ONNX: The runtime 'onnxruntime' is not installed." in " ".join(answered.sentences)
    assert kept(study, 1, "exports") is None
    assert "onnx" in [row["folder"] for row in answer(study, 1, "exports").table]


def full(*given):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_format_that_found_no_room_is_tried_again(study, monkeypatch):
    (study.storage.folder(1) / "answer-exports.json").unlink(missing_ok=True)
    with monkeypatch.context() as patched:
        patched.setattr("workbench.exports.safetensors_plan.save_weights", full)
        answered = answer(study, 1, "exports")
    assert f"Safetensors and plan: The disk is full. {FREE}" in answered.sentences
    assert kept(study, 1, "exports") is None


def test_an_answer_that_finds_no_room_is_given_all_the_same(study, changes, monkeypatch):
    (study.storage.folder(1) / "answer-changes.json").unlink()
    with monkeypatch.context() as patched:
        patched.setattr("workbench.questions.write", full)
        assert answer(study, 1, "changes").flips == changes.flips
    assert kept(study, 1, "changes") is None


def test_a_question_that_finds_no_room_says_so_also_in_a_report(study, monkeypatch):
    (study.storage.folder(1) / "answer-why.json").unlink(missing_ok=True)
    monkeypatch.setitem(QUESTIONS, "why", full)
    with pytest.raises(WorkbenchError, match="The disk is full"):
        answer(study, 1, "why")
    assert closeups(study, [1])[0].causes.sentences == [f"The disk is full. {FREE}"]


def test_an_unknown_question_and_a_failed_trial_are_refused(study):
    with pytest.raises(WorkbenchError, match=r"no question called 'wy'\. Did you mean 'why'"):
        answer(study, 1, "wy")
    with pytest.raises(WorkbenchError, match="Trial 2 can't be compared: it failed"):
        answer(study, 2, "changes")


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_holds_the_very_pixels(channels):
    sample = np.random.default_rng(0).integers(0, 256, (channels, 5, 7), dtype=np.uint8)
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture(sample).split(",")[1]))))
    assert np.array_equal(shown if channels == 1 else shown.transpose(2, 0, 1), sample.squeeze())


def test_floats_are_stretched_over_their_range_and_what_is_no_image_has_no_picture():
    sample = np.array([[[-1.0, 0.0, 1.0]]], np.float32)
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture(sample).split(",")[1]))))
    assert shown.tolist() == [[0, 127, 255]]
    assert picture(np.zeros(4)) == picture(np.zeros((2, 3, 3))) == ""
