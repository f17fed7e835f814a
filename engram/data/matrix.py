"""A table as numbers, one per column: for metrics, learners and simple generators that know no types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from engram.data.cells import Array, plain_cells
from engram.data.coding import NUMBERS, Coding, as_frame
from engram.data.columns import categories_in, numbers_in, without_marks
from engram.data.forms import check_columns


@dataclass(frozen=True)
class Matrix:
    """Columns as numbers.

    Parameters
    ----------
    values : array
        (rows, columns) float64, NaN where a cell is missing; categories by their number, all that were rare at fit as one more.
    discrete : array
        (columns,) bool: flags and categories.
    names : tuple of str
        Of the columns.
    """

    values: Array
    discrete: Array
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.values)

    def of(self, values: Array) -> Matrix:
        """Return other rows of the same columns."""
        return Matrix(np.asarray(values, dtype=np.float64), self.discrete, self.names)

    def column(self, name: Any) -> int:
        """Return the number of a column."""
        return self.names.index(str(name))


def matrix(coding: Coding, raw: Any, reader: str = "this model") -> Matrix:
    """Return the columns that vary as numbers; keys, texts and constants are left out, and may be missing.

    Raises `DataError` where another column is missing; ``reader`` is the model that it names.
    """
    frame = as_frame(raw)
    used = [c for c in coding.fields if c.type in (*NUMBERS, "boolean", "category")]
    check_columns((c.name for c in used), frame, reader)
    columns = []
    for c in used:
        series = frame[c.name]
        if c.type != "category":
            columns.append(numbers_in(c, series, {}))
            continue
        there = without_marks(plain_cells(series), {}).notna().to_numpy()
        numbers = categories_in(c, series, {})
        columns.append(np.where(there, np.where(numbers < 0, len(c.values), numbers), np.nan))
    discrete = np.array([c.type in ("boolean", "category") for c in used], dtype=bool)
    values = np.column_stack(columns).astype(np.float64) if columns else np.zeros((len(frame), 0))
    return Matrix(values, discrete, tuple(str(c.name) for c in used))


def features(real: Matrix, other: Matrix | None = None) -> Array:
    """Return rows for distances: numbers standardised by ``real``, each category and each hole as values that lie 1 apart.

    Missing numbers are at the mean, beside a value that says so.
    """
    rows = (real if other is None else other).values
    found = []
    for j, is_discrete in enumerate(real.discrete):
        own, cells = real.values[:, j], rows[:, j]
        gone, there = np.isnan(cells), own[~np.isnan(own)]
        if is_discrete:
            kinds = np.unique(there)
            found += [(cells == kind) * np.sqrt(0.5) for kind in kinds]
        else:
            mean, scale = (there.mean(), there.std() or 1.0) if len(there) else (0.0, 1.0)
            found.append(np.where(gone, 0.0, (cells - mean) / scale))
        if np.isnan(own).any():
            found.append(gone * np.sqrt(0.5))
    return np.column_stack(found) if found else np.zeros((len(rows), 1))
