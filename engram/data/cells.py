"""Cells of a column as they come: what sort they are, as plain values, as numbers."""

from __future__ import annotations

import datetime
import decimal
import re
from typing import Any

import numpy as np
import pandas as pd

from engram.data.dtypes import native
from engram.errors import DataError, DataTypeError, column_as

Array = np.ndarray[Any, np.dtype[Any]]
CELLS = (str, int, float, bool, np.generic, decimal.Decimal, datetime.date, pd.Interval, pd.Period, pd.Timedelta)
# a text that is read as a number without losing how it was written, but for decimals
NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?")
WHOLE = 2**53  # whole numbers beyond it are not exact as floats
FLOATS = 2**1023  # ... and beyond this one, none at all
DIGITS = 308  # of the longest whole numbers up to there


def loses_digits(cell: Any) -> bool:
    """Whether a whole number, or a text of nothing but its digits, is another one as a float."""
    if isinstance(cell, str):
        if not re.fullmatch(r"[+-]?\d+", cell.strip()):
            return False
        cell = cell.strip().lstrip("+-0") or "0"
        if len(cell) > DIGITS:  # `int` refuses texts of thousands of digits
            return True
    elif not isinstance(cell, int | np.integer):
        return False
    return abs(int(cell)) > WHOLE and (abs(int(cell)) > FLOATS or int(float(cell)) != int(cell))


def as_whole(values: Array, dtype: str) -> Array:
    """Return numbers rounded to whole ones that a whole-number dtype can hold: those beyond its ends become the ends."""
    size = np.iinfo(dtype)
    top = np.nextafter(float(size.max), 0) if size.bits > 32 else size.max  # the float of the largest is beyond it
    return np.asarray(np.clip(np.round(values.astype(np.float64)), size.min, top).astype(dtype))


def is_plain(dtype: Any) -> bool:
    """Whether a column is of NumPy's own whole or floating numbers."""
    return isinstance(dtype, np.dtype) and dtype.kind in "iuf"


def may_hold_texts(series: pd.Series[Any]) -> bool:
    """Whether the dtype is one of texts or of anything at all."""
    return bool(series.dtype == object or isinstance(series.dtype, pd.StringDtype))


def has_texts(series: pd.Series[Any]) -> bool:
    """Whether any cell is a text."""
    if isinstance(series.dtype, pd.StringDtype):
        return bool(series.notna().any())
    return series.dtype == object and str in set(map(type, series.to_numpy()))


def check_cells(present: pd.Series[Any]) -> None:
    """Raise `DataTypeError` for a cell that is no single value, saying where."""
    cells = present.to_numpy()
    strange = {sort for sort in set(map(type, cells)) if not issubclass(sort, CELLS)}
    for row, cell in zip(present.index, cells, strict=True) if strange else ():
        if type(cell) in strange:
            raise DataTypeError(
                f"column {present.name!r}, row {row}: a cell's argument must be a string or a number, not {type(cell).__name__!r}."
            )


def check_finite(values: Array, names: list[Any]) -> None:
    """Raise `DataError` for an infinite cell, saying where."""
    bad = np.argwhere(np.isinf(values))
    if len(bad):
        row, column = bad[0]
        raise DataError(
            f"column {names[column]!r}, row {row}: the value is infinity ({len(bad)} such cells). "
            "Infinite values cannot be used; replace them or leave the cells empty (missing)."
        )


def as_numbers(series: pd.Series[Any], name: Any) -> Array:
    """Return a column as float64 with NaN where a cell is missing; dates as seconds since 1970, durations as seconds."""
    if is_plain(series.dtype):
        return series.to_numpy(dtype=np.float64)
    series = native(series)
    if pd.api.types.is_datetime64_any_dtype(series.dtype):
        return seconds(series)
    if pd.api.types.is_timedelta64_dtype(series.dtype):
        return np.asarray(series.dt.total_seconds().to_numpy(dtype=np.float64))
    try:
        return np.asarray(
            pd.to_numeric(series, errors="raise").astype("float64").to_numpy(dtype=np.float64, na_value=np.nan)
        )
    except OverflowError:
        raise DataError(
            f"column {name!r} cannot be numbers: it has whole numbers that are larger than any float64 (1.8e308). "
            "Say 'category', or give floats."
        ) from None
    except (ValueError, TypeError):
        bad = series[pd.to_numeric(series, errors="coerce").isna() & series.notna()]
        row, cell = (bad.index[0], bad.iloc[0]) if len(bad) else ("?", series.iloc[0])
        raise not_a_number(name, row, cell, len(bad)) from None


def named_row(index: pd.Index[Any], at: int) -> str:
    """Return what a message calls the row at a place: by the table's index, which of a file counts its rows."""
    return f"row {index[at]} (by the table's index; rows of a file are counted from 0, without the header)"


def not_a_number(name: Any, row: Any, cell: Any, count: int) -> DataError:
    """Return the error for a column of numbers with other cells."""
    return DataError(
        f"column {name!r} holds numbers, but row {row} has {cell!r} ({count} such cells). "
        f"Correct the cells, leave them empty, or say {column_as(name, 'category')} at fit."
    )


def seconds(dates: pd.Series[Any]) -> Array:
    """Return a datetime column as seconds since 1970 (UTC where it has a time zone), NaN where a cell is missing."""
    universal = dates.dt.tz_convert(None) if dates.dt.tz is not None else dates
    counted = universal.astype("datetime64[us]").to_numpy().astype(np.int64) / 1e6
    return np.where(dates.isna(), np.nan, counted)


def plain(value: Any) -> Any:
    """Return a value as JSON has it: Python's own text, number or flag."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | bool) else str(value)


def are_plain(cells: Array) -> bool:
    """Whether all cells are texts, numbers or flags of Python."""
    return all(issubclass(sort, str | int | float | bool) for sort in set(map(type, cells)))


def plain_cells(series: pd.Series[Any]) -> pd.Series[Any]:
    """Return the cells as plain values in an object column, None where missing."""
    if isinstance(series.dtype, pd.CategoricalDtype):
        names = np.array([*map(plain, series.cat.categories), None], dtype=object)
        return pd.Series(names[series.cat.codes.to_numpy()], index=series.index, name=series.name, dtype=object)
    cells = series.to_numpy(dtype=object)
    missing = pd.isna(cells)
    if not are_plain(cells[~missing]):
        cells = np.array(
            [cell if gone else plain(cell) for cell, gone in zip(cells, missing, strict=True)], dtype=object
        )
    if missing.any():
        cells = cells.copy()
        cells[missing] = None
    return pd.Series(cells, series.index, name=series.name, dtype=object)


def category_text(cell: Any) -> str:
    """Return a category as a text: 1, 1.0, "1" and "1.0" are the same, and "01" is another."""
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() else str(cell)
    text = str(cell).strip()
    if not isinstance(cell, str) or not NUMBER.fullmatch(text):
        return text
    whole, _, part = text.partition(".")
    return str(float(text)) if part.strip("0") else whole if whole != "-0" else "0"


def category_numbers(values: list[Any], cells: pd.Series[Any]) -> Array:
    """Return which of these values each plain cell is, -1 for none and for missing ones; where numbers meet texts, their texts count."""
    found = np.array(pd.Index(values, dtype=object).get_indexer(pd.Index(cells, dtype=object)))
    left = np.flatnonzero((found < 0) & cells.notna().to_numpy())
    if not len(left):
        return found
    texts, numbers = ({category_text(v): i for i, v in reversed([*enumerate(values)]) if isinstance(v, str) == is_text}
                      for is_text in (True, False))  # fmt: skip
    codes, different = pd.factorize(cells.iloc[left])
    other = [(numbers if isinstance(c, str) else texts).get(category_text(c), -1) for c in different]
    found[left] = np.array(other, dtype=found.dtype)[codes]
    return found
