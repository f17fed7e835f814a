"""Whether the first line of a CSV file is a header, or the first row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from engram.data.texts import MARKS, POINTS, NumberStyle

LIKE = 0.8  # of a column's cells must be numbers for a name that is a number to look like one of them
STYLES = [NumberStyle(*signs) for signs in POINTS[:2]]


def lacks_header(names: pd.Series[Any], rows: pd.DataFrame) -> bool:
    """Return whether the first line looks like the rows below it, in every single column.

    A name that is a number (or a mark for missing) must stand above numbers, any other one must come again among the cells
    below it. Numbers that all differ by the same step, as years and row numbers do, are names.

    Parameters
    ----------
    names : Series of str
        The cells of the first line, missing where they are empty.
    rows : DataFrame of str
        Some of the lines below it, as texts.
    """
    texts = ["" if pd.isna(name) else str(name).strip() for name in names]
    if len(texts) != rows.shape[1] or rows.empty:
        return False
    values = np.array([_value(text) for text in texts])
    numbers = ~np.isnan(values)
    if not numbers.any() or ("" in texts and not _twice(texts, numbers)):
        return False
    return not _counts(values[numbers]) and all(
        _belongs(text, rows[column]) for text, column in zip(texts, rows.columns, strict=True)
    )


def _counts(values: Any) -> bool:
    """Whether whole numbers go up by one step, as years do, or 0 and 1 where there are only two."""
    steps = np.diff(values)
    if not len(steps) or not np.array_equal(values, np.round(values)) or np.ptp(steps) > 0:
        return False
    return bool(steps[0] == 1 if len(steps) == 1 else steps[0] != 0)


def _twice(texts: list[str], numbers: Any) -> bool:
    """Whether two names are the same number: then they are no names."""
    found = [text for text, number in zip(texts, numbers, strict=True) if number]
    return len(set(found)) < len(found)


def _value(text: str) -> float:
    return next((value for style in STYLES if np.isfinite(value := style.value(text))), np.nan)


def _belongs(name: str, cells: pd.Series[Any]) -> bool:
    there = [str(cell).strip() for cell in cells.dropna()]
    if name.lower() in MARKS:
        return True
    if np.isnan(_value(name)):
        return name in there
    numbers = sum(cell.lower() in MARKS or bool(np.isfinite(_value(cell))) for cell in there)
    return numbers >= LIKE * len(there)
