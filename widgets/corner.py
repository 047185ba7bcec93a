"""The corner of a plot where a legend hides the least."""

from collections.abc import Sequence

import numpy as np

CORNERS = {"bottom_right": (1, 0), "top_right": (1, 1), "bottom_left": (0, 0), "top_left": (0, 1)}
"""Of those that hide equally many points, the first is taken."""
WIDE, HIGH = 0.5, 0.45  # of the plot, what a legend takes at most


def free_corner(x: list[float], y: list[float], log: bool = False, below: Sequence[float] = ()) -> str:
    """Where the fewest points lie, as Bokeh names it.

    Parameters
    ----------
    x, y : list of float
        Of each point; not finite where it has no place.
    log : bool
        Whether the x axis is logarithmic.
    below : sequence of float
        Places of marks on the lower margin, from 0 at the left to 1.
    """
    points = np.array([x, y], float).reshape(2, -1)
    points = points[:, np.isfinite(points).all(0)]
    if log:
        points[0] = np.log(np.maximum(points[0], 1e-300))
    if points.size:
        low, high = points.min(1, keepdims=True), points.max(1, keepdims=True)
        points = (points - low) / np.where(high > low, high - low, 1.0)
    across, up = np.hstack([points, [below, np.zeros(len(below))]])
    hidden = {
        name: int(((across >= 1 - WIDE if right else across <= WIDE) & (up >= 1 - HIGH if top else up <= HIGH)).sum())
        for name, (right, top) in CORNERS.items()
    }
    return min(hidden, key=lambda name: hidden[name])
