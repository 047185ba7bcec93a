"""All but the rarest is within the range."""

from torch import Tensor

PERCENTILE = 0.9999


def percentile(rows: Tensor, bits: int, signed: bool) -> Tensor:
    """The t with ``P(|x| <= t) = 99.99 %`` in each row: the rarest values are clipped.

    References
    ----------
    McKinstry et al.: Discovering Low-Precision Networks Close to Full-Precision Networks, 2018 (arXiv 1809.04191).
    """
    ordered = rows.abs().sort(dim=1).values
    return ordered[:, min(round(PERCENTILE * (rows.shape[1] - 1)), rows.shape[1] - 1)]
