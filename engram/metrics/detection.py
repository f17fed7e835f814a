"""How well scores tell anomalies from normal rows."""

from __future__ import annotations

import numpy as np

from engram.errors import DataError
from engram.metrics.metric import Array
from engram.registry import METRICS


@METRICS.register("auroc", better="higher", unit="probability")
def auroc(scores: Array, y: Array) -> float:
    """Area under the ROC curve: how often an anomaly has a lower score than a normal row; a tie counts half.

    Direction: higher is better; 1 is perfect, 0.5 is chance. Unit: a probability. Source: Hanley & McNeil, Radiology
    143, 1982: it is the Mann-Whitney statistic; scikit-learn's ``roc_auc_score(y, -scores)``.

    Parameters
    ----------
    scores : array
        A score per row, (rows,); higher = more normal, as `score_samples` gives it.
    y : array
        1 or True where the row is an anomaly, else 0 or False, (rows,).

    Returns
    -------
    float
        NaN where all rows are of one sort.
    """
    labels, values = np.asarray(y), np.asarray(scores)
    if labels.shape != values.shape or labels.ndim != 1:
        raise DataError(
            f"scores and labels must be one per row, these are of shapes {values.shape} and {labels.shape}."
        )
    if not np.isin(labels, (0, 1)).all():
        raise DataError("labels must be 1 or True for an anomaly and 0 or False for a normal row.")
    anomaly = labels.astype(bool)
    n, normal = int(anomaly.sum()), int((~anomaly).sum())
    if n == 0 or normal == 0:
        return float("nan")
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - 0.5 * (count - 1))[place]  # from 1; tied scores share their mean rank
    return float((rank[~anomaly].sum() - normal * (normal + 1) / 2) / (n * normal))
