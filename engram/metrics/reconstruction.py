"""How well rows come back from their codes."""

from __future__ import annotations

import numpy as np

from engram.errors import DataError
from engram.metrics.metric import Array
from engram.registry import METRICS


@METRICS.register("r2", better="higher", unit="share of the variance")
def r2(x: Array, reconstruction: Array, mask: Array | None = None) -> float:
    """R2: 1 - squared errors / squared distances from the column means of the same rows, both summed over all cells.

    Direction: higher is better; 1 is perfect, 0 is what the column means get. Unit: a share of the variance.
    Source: the coefficient of determination; scikit-learn's ``r2_score`` with ``multioutput="variance_weighted"``.

    Parameters
    ----------
    x, reconstruction : array
        Encoded rows and what a model made of them, (rows, ...).
    mask : array, optional
        Where a cell was observed; other cells count nowhere.

    Returns
    -------
    float
        NaN where nothing varies, e.g. for one row.
    """
    x, error, seen = _cells(x, reconstruction, mask)
    mean = x.sum(0) / np.maximum(seen.sum(0), 1)
    total = np.square((x - mean) * seen).sum()
    return float(1 - np.square(error).sum() / total) if total > 0 else float("nan")


@METRICS.register("squared-error", better="lower", unit="squared encoded units a row")
def squared_error(x: Array, reconstruction: Array, mask: Array | None = None) -> float:
    """Squared error of a row, summed over its columns, averaged over rows.

    Direction: lower is better; 0 is perfect. Unit: squared encoded units (standard deviations of a column, or a
    picture's pixels in 0 to 1). Source: the reconstruction error of Hinton & Salakhutdinov, Science 313, 2006.

    Parameters
    ----------
    x, reconstruction : array
        Encoded rows and what a model made of them, (rows, ...).
    mask : array, optional
        Where a cell was observed; other cells count nowhere.
    """
    _, error, _ = _cells(x, reconstruction, mask)
    return float(np.square(error).sum(1).mean())


def _cells(x: Array, reconstruction: Array, mask: Array | None) -> tuple[Array, Array, Array]:
    """Return rows, errors (both zero where not observed) and where cells were observed: (rows, values) float64."""
    if np.shape(x) != np.shape(reconstruction) or (mask is not None and np.shape(mask) != np.shape(x)):
        given = {"x": x, "reconstruction": reconstruction, "mask": mask}
        told = ", ".join(f"{name} {np.shape(array)}" for name, array in given.items() if array is not None)
        raise DataError(f"rows, their reconstruction and the mask must be of one shape, these are: {told}.")
    n = len(x)
    values = np.asarray(x, dtype=np.float64).reshape(n, -1)
    back = np.asarray(reconstruction, dtype=np.float64).reshape(n, -1)
    if mask is None:
        return values, values - back, np.ones_like(values)
    seen = np.asarray(mask, dtype=bool).reshape(n, -1)
    return np.where(seen, values, 0.0), np.where(seen, values - back, 0.0), seen.astype(np.float64)
