"""What predictions go by, measured in a part of a search's time."""

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from workbench.prediction.probes import anchors_by_probes, measure_probes
from workbench.prediction.table import measure_table, table_of
from workbench.search.budget import Budget
from workbench.search.space import Space
from workbench.sensitivity import BITS, Sensitivity
from workbench.sensitivity_scan import known_sensitivity, sensitivity

if TYPE_CHECKING:
    from workbench.study import Study

UNTIL = {"sensitivity": 0.15, "probes": 0.2, "anchors": 0.25, "table": 0.3}
"""Until when, as a share of the time, each of these may be measured; not all of it is, where time is short."""
TABLE_SHARE, TABLE_MOST = 0.05, 60.0  # of the time, and seconds, for the table of speeds


def prepared(study: "Study", budget: Budget, space: Space, report: Callable[..., None]) -> Sensitivity | None:
    """What predictions go by, as far as a part of the time reaches."""

    def until(share: float) -> Callable[..., None]:
        def told(**facts: Any) -> None:
            report(**{**facts, "share": min(1.0, budget.spent if budget.seconds else 0.0)})
            if budget.seconds and budget.spent > share:
                raise _Enough

        return told

    seconds = min(TABLE_MOST, TABLE_SHARE * budget.seconds) if budget.seconds else TABLE_MOST
    if study.dataset.task == "classification":  # only its accuracy can be predicted, of all scores
        with contextlib.suppress(_Enough):
            tried = {near for bits in space.bits() for near in ((bits,) if bits in BITS else (bits - 1, bits + 1))}
            bits = [width for width in BITS if width in tried]
            sensitivity(study, report=until(UNTIL["sensitivity"]), bits=bits)
        with contextlib.suppress(_Enough):
            trying = float(budget.trials or seconds / 2)  # where trials are counted, a second for each
            measure_probes(study, until(UNTIL["probes"]), trying, space.covers, space.importances())
        with contextlib.suppress(_Enough):
            anchors_by_probes(study, until(UNTIL["anchors"]))
    with contextlib.suppress(_Enough):
        if not table_of(study).rows:
            measure_table(study, seconds, until(UNTIL["table"]))
    return known_sensitivity(study)


class _Enough(Exception):
    """So much of the time was for this, and no more."""
