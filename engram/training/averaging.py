"""Terms to the one number that a turn minimises: their sum, averaged over rows."""

from __future__ import annotations

from torch import Tensor


def averaged(
    terms: dict[str, Tensor], weight: Tensor | None, whole: Tensor | float | None = None, share: float = 1.0
) -> Tensor:
    """Return the sum of the terms, averaged over rows (weighted where rows have weights): the only place that averages.

    Of a part of a batch: what it adds to the batch's average, given the ``whole`` batch's sum of row weights, or its number of
    rows, and the part's ``share`` of the rows, by which terms of shape () count.
    """
    total: Tensor | None = None
    rows: Tensor | None = None
    for value in terms.values():
        if value.dim() == 0:
            total = value if total is None else total + value
        else:
            rows = value if rows is None else rows + value
    if total is not None and whole is not None:
        total = total * share
    if rows is not None:
        if whole is not None:
            mean = (rows if weight is None else rows * weight).sum() / whole
        else:
            mean = rows.mean() if weight is None else (rows * weight).sum() / weight.sum()
        total = mean if total is None else total + mean
    if total is None:
        raise TypeError("a turn without terms has nothing to minimise")
    return total
