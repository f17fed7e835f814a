"""Which of the user's labels mean an anomaly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from engram.errors import DataError

Array = np.ndarray[Any, np.dtype[Any]]


CLASSES = (
    "the labels y are taken for classes, not for anomalies (--label, or detect=True, takes the rarer of two for these)"
)


def anomalies(y: Any, n_rows: int, *, detect: bool = True) -> tuple[Array | None, str]:
    """Return (where a row is an anomaly or None, what was made of the labels in words).

    Of two values it is the rarer one; where both are equally frequent, 1 or True beside 0 or False, and -1 beside 1 (scikit-learn's way).
    More or fewer values, or missing labels, are no such labels; without ``detect`` none are.
    """
    if y is None:
        return None, "no labels y were given"
    if not detect:
        return None, CLASSES
    labels = one_per_row(y, n_rows)
    counts = labels.value_counts()
    if len(counts) != 2:
        only = [f"only the value {value!r}" for value in counts.index] or ["no value"]
        found = f"{len(counts)} different values" if len(counts) > 1 else only[0]
        return None, f"the labels y have {found}; anomaly or normal takes two"
    if labels.isna().any():
        gone = int(labels.isna().sum())
        return None, f"{gone} of the labels y {'is' if gone == 1 else 'are'} missing"
    values, anomaly, which = set(counts.index), counts.index[-1], "the rarer one"
    if counts.iloc[0] == counts.iloc[1]:
        if values not in ({0, 1}, {-1, 1}):
            return None, "both labels y are equally frequent; give 1 for anomalies and 0 for normal rows"
        anomaly, which = (1 if 0 in values else -1), "both being equally frequent"
    found = (labels == anomaly).to_numpy(dtype=bool)
    return found, f"rows with the label {anomaly!s} count as anomalies, {which} ({int(found.sum())} of {n_rows} rows)"


def one_per_row(y: Any, n_rows: int) -> pd.Series[Any]:
    """Return labels as a series; raise `DataError` where there is not one per row."""
    labels = np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or len(labels) != n_rows:
        raise DataError(f"y must hold one label per row: there are {n_rows} rows, and y is of shape {labels.shape}.")
    return pd.Series(labels)


def beside(model: Any, y: Any, index: Any = slice(None)) -> dict[str, Any]:
    """Return the arguments that a conditional model takes beside the rows with these numbers: ``y``; other models take none."""
    if model.given_ is None or y is None:
        return {}
    return {"y": y.iloc[index] if hasattr(y, "iloc") else np.asarray(y)[index]}


def drawn_beside(model: Any, y: Any, n: int) -> dict[str, Any]:
    """Return the arguments for n drawn rows of a conditional model: y of n rows taken evenly."""
    return beside(model, y, np.arange(n) * max(len(y) // n, 1) % len(y)) if y is not None else {}


def one_label(y: Any) -> Any:
    """Return y where it is one label a row, None where a conditional model is given more."""
    return y if y is None or np.ndim(y) == 1 or (np.ndim(y) == 2 and np.shape(y)[1] == 1) else None
