"""Measure what predictions go by: once for each model, kept in the study, and resumed where it was broken off."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from workbench.prediction.portion import portion
from workbench.prediction.probes import anchors_by_probes, measure_probes
from workbench.prediction.table import measure_table
from workbench.sensitivity_scan import sensitivity

if TYPE_CHECKING:
    from workbench.study import Study


def prepare(study: "Study", seconds: float, report: Callable[..., None] = lambda **facts: None) -> None:
    """The sensitivity of each layer, the ladder of probes, anchor points, and the table of sizes and speeds.

    Parameters
    ----------
    study : Study
    seconds : float
        For probes along the ratio, and as many for the table; what comes before is measured in any case.
    report : callable
        Told of the progress; may raise `Cancelled`.
    """
    study.measured_baseline()

    if study.dataset.task == "classification":  # only its accuracy can be predicted, of all scores
        sensitivity(study, report=portion(report, 0, 0.3))
        measure_probes(study, portion(report, 0.3, 0.55), seconds)
        anchors_by_probes(study, portion(report, 0.55, 0.7))
    measure_table(study, seconds, portion(report, 0.7, 1))
    report(share=1.0, message="Predictions are ready")
