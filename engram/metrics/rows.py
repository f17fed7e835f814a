"""What the metrics of generated rows are given: rows of features, checked once and in one way."""

from __future__ import annotations

import numpy as np

from engram.errors import DataError, DataTypeError
from engram.metrics.metric import Array


def feature_rows(least: int = 1, **arrays: Array) -> list[Array]:
    """Return the arrays as (rows, features), float32 where they are, float64 otherwise; pictures are flattened.

    Parameters
    ----------
    least : int
        How many rows each must have.
    **arrays : array
        Each (rows, ...) under its name, which the errors tell.

    Raises
    ------
    DataTypeError
        Values that are no real numbers.
    DataError
        No rows by features, fewer rows than ``least``, values that are not finite, or arrays of different widths.
    """
    found = [_checked(name, array, least) for name, array in arrays.items()]
    if len({rows.shape[1] for rows in found}) > 1:
        told = ", ".join(f"{name} {np.shape(array)}" for name, array in arrays.items())
        raise DataError(f"all rows must have the same features, these are: {told}. Take both from one extractor.")
    return found


def _checked(name: str, array: Array, least: int) -> Array:
    rows = np.asarray(array)
    if rows.dtype.kind not in "fiub":
        raise DataTypeError(
            f"{name} must hold real numbers, this array is of type {rows.dtype}. Encode the rows first."
        )
    if rows.ndim < 2 or 0 in rows.shape[1:]:
        raise DataError(
            f"{name} must be (rows, features), this array is of shape {rows.shape}. A single feature is one column: "
            "reshape(-1, 1)."
        )
    if len(rows) < least:
        raise DataError(f"{name} has {len(rows)} rows and this metric needs at least {least}. Give more rows.")
    if rows.dtype != np.float32:
        rows = rows.astype(np.float64, copy=False)
    if not np.isfinite(rows).all():
        bad = int((~np.isfinite(rows.reshape(len(rows), -1))).any(1).sum())
        raise DataError(
            f"{name} has {bad} of {len(rows)} rows with values that are not finite. Remove them, or see why they arose."
        )
    flat: Array = rows.reshape(len(rows), -1)
    return flat


def within_range(*values: float) -> None:
    """Raise `DataError` where what was computed of rows is no number: they were finite, so that they were too large."""
    if not np.isfinite(values).all():
        raise DataError(
            "the values of these rows are too large for this metric: their products overflow. Scale both sets alike."
        )


def row_scalars(name: str, array: Array) -> Array:
    """Return an array that must have one value per row, (rows,), at least one of them."""
    values = np.asarray(array)
    if values.ndim != 1 or len(values) == 0:
        raise DataError(f"{name} must hold one value per row, (rows,); this array is of shape {values.shape}.")
    return values
