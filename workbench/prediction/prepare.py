"""Measure what predictions go by: once for each model, kept in the study, and resumed where it was broken off."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from workbench.prediction.probes import measure_probes
from workbench.prediction.table import measure_table
from workbench.sensitivity_scan import sensitivity

if TYPE_CHECKING:
    from workbench.study import Study


def prepare(study: "Study", seconds: float, report: Callable[..., None] = lambda **facts: None) -> None:
    """The sensitivity of each layer, the ladder of probes, and the table of sizes and speeds.

    Parameters
    ----------
    study : Study
    seconds : float
        For probes along the ratio, and as many for the table; what comes before is measured in any case.
    report : callable
        Told of the progress; may raise `Cancelled`.
    """
    study.measured_baseline()

    def part(index: int) -> Callable[..., None]:
        def told(share: float, **facts: Any) -> None:
            report(share=(index + share) / 3, **facts)

        return told

    if study.dataset.task == "classification":  # only its accuracy can be predicted, of all scores
        sensitivity(study, report=part(0))
        measure_probes(study, part(1), seconds)
    measure_table(study, seconds, part(2))
    report(share=1.0, message="Predictions are ready")
