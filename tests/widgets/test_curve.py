"""The training curve: drawn from progress facts, and nothing where nothing trains."""

import re

from widgets.curve import curve


def fact(epoch: float, loss: float, stage: int = 1, **more: object) -> dict:
    return {"stage": stage, "epoch": epoch, "loss": loss, **more}


def line(drawn: str, kind: str) -> list[tuple[float, float]]:
    (points,) = re.findall(rf"<polyline points='([^']*)' class='{kind}'", drawn)
    return [tuple(map(float, pair.split(","))) for pair in points.split()]


def test_nothing_is_drawn_of_what_does_not_train():
    assert curve([]) == ""
    assert curve([{"stage": 0, "share": 0.0, "name": "Prune"}]) == ""


def test_loss_falls_and_accuracy_rises_from_left_to_right():
    drawn = curve([fact(0.5, 2.0), fact(1.0, 1.0, accuracy=0.8), fact(1.5, 0.6), fact(2.0, 0.5, accuracy=0.9)])
    loss, reached = line(drawn, "wb-loss"), line(drawn, "wb-reached")
    assert loss == sorted(loss)
    assert loss[0][1] < loss[-1][1]  # downwards on the screen
    assert reached[0][1] > reached[1][1]
    assert loss[-1][0] == reached[-1][0]
    assert "loss 0.500, validation accuracy 90.00%" in drawn
    assert "2 epochs" in drawn


def test_a_second_training_goes_on_where_the_first_ended():
    drawn = curve([fact(0.5, 1.0), fact(1.0, 0.9), fact(0.5, 0.8, stage=2), fact(1.0, 0.7, stage=2)])
    assert [x for x, _ in line(drawn, "wb-loss")] == sorted({x for x, _ in line(drawn, "wb-loss")})
    assert "2 epochs" in drawn


def test_a_trial_that_trained_has_one(study):
    assert curve(study.trial(1).progress).startswith("<figure")
    assert curve(study.trial(0).progress) == ""


def test_what_is_no_classifier_has_the_curve_of_its_own_score() -> None:
    told = {"score": "perplexity 12.5 [12.1, 12.9]", "reached": 12.5}
    drawn = curve([fact(0.5, 2.0), fact(1.0, 1.0, score="perplexity 20", reached=20.0), fact(2.0, 0.5, **told)])
    assert "perplexity 12.5 [12.1, 12.9]" in drawn and drawn.count("<circle") == 2
    assert "%" not in drawn
