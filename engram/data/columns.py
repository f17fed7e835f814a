"""One column of a table: its type, found out or told, and what is needed to encode and decode it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from engram.errors import DataError, DataTypeError, UsageError, nearest

TYPES = ("number", "count", "boolean", "category", "drop")  # what a user may ask for
IGNORED = ("constant", "empty", "key", "drop")  # what no network sees
MAX_CATEGORIES = 1000
Array = np.ndarray[Any, np.dtype[Any]]
FAR = 1e6  # encoded values are clipped here: further out float32 squares overflow


@dataclass
class Column:
    """A fitted column.

    Parameters
    ----------
    name : str or int
        The user's name for it.
    type : str
        number, count, boolean, category, or (ignored) constant, empty, key, drop.
    dtype : str
        The pandas dtype it came in and goes back to.
    mean, scale : float
        Numbers are encoded as (value - mean) / scale.
    low, high : float
        Range of the values seen.
    missing : int
        How many cells were missing at fit.
    values : list
        Categories in order, or the one value of a constant.
    """

    name: Any
    type: str
    dtype: str
    mean: float = 0.0
    scale: float = 1.0
    low: float = 0.0
    high: float = 0.0
    missing: int = 0
    values: list[Any] = field(default_factory=list)

    @property
    def width(self) -> int:
        """How many encoded values the column takes."""
        return 0 if self.type in IGNORED else len(self.values) if self.type == "category" else 1

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    def describe(self) -> str:
        """Say in words what the column is."""
        gaps = f", {self.missing} missing" if self.missing else ""
        if self.type in ("number", "count"):
            return f"{self.type} from {self.low:.6g} to {self.high:.6g}{gaps}"
        if self.type == "category":
            return f"category of {len(self.values)}{gaps}"
        if self.type == "constant":
            return f"constant ({self.values[0]}), ignored"
        told = {
            "empty": "without any value, ignored",
            "key": "a different text in nearly every row, ignored",
            "drop": "dropped as asked",
        }
        return told.get(self.type, self.type + gaps)


def inferred(name: Any, series: pd.Series[Any], wish: str | None, *, flags: bool) -> Column:
    """Find out the type of a column; ``flags`` says whether whole numbers that are only 0 and 1 are booleans."""
    if wish is not None and wish not in TYPES:
        raise UsageError(
            f"columns= asks for the type {wish!r} for column {name!r}, which does not exist. {nearest(wish, TYPES)}"
        )
    column = Column(name, wish or "", str(series.dtype), missing=int(series.isna().sum()))
    if wish == "drop":
        return column
    present = series.dropna()
    if present.empty:
        column.type = "empty"
        return column
    if not wish:
        column.type = _type_of(present, flags=flags)
    if column.type in ("number", "count"):
        return _with_range(column, as_numbers(present, name))
    return _with_values(column, present, asked=wish is not None)


def inferred_numbers(values: np.ndarray[Any, np.dtype[Any]]) -> list[Column]:
    """Find out the columns of an array of numbers, all at once: number, constant or empty."""
    with np.errstate(over="ignore", invalid="ignore"):
        plain = bool(np.isfinite(values.sum(dtype=np.float64)))
    if not plain:
        check_finite(values, list(range(values.shape[1])))
    missing = np.zeros(values.shape[1], dtype=int) if plain else np.isnan(values).sum(0)
    empty = missing == len(values)
    filled = values if plain else np.where(empty, 0.0, values)  # a column without any value has no mean
    low, high = (f(filled, axis=0).astype(np.float64) for f in ((np.min, np.max) if plain else (np.nanmin, np.nanmax)))
    size = np.maximum(
        np.maximum(np.abs(low), np.abs(high)), np.finfo(np.float64).tiny
    )  # squares of 1e300 would overflow
    scaled = filled / size
    mean, scale = (f(scaled, axis=0) * size for f in ((np.mean, np.std) if plain else (np.nanmean, np.nanstd)))
    found = []
    for i in range(values.shape[1]):
        if empty[i]:
            found.append(Column(i, "empty", str(values.dtype), missing=int(missing[i])))
            continue
        column = Column(i, "number", str(values.dtype), low=float(low[i]), high=float(high[i]), missing=int(missing[i]))
        if low[i] == high[i]:
            column.type, column.values = "constant", [float(low[i])]
        else:
            column.mean, column.scale = float(mean[i]), float(scale[i]) or 1.0
        found.append(column)
    return found


def _type_of(present: pd.Series[Any], *, flags: bool) -> str:
    if pd.api.types.is_bool_dtype(present.dtype):
        return "boolean"
    if pd.api.types.is_numeric_dtype(present.dtype):
        whole = pd.api.types.is_integer_dtype(present.dtype)
        return "boolean" if flags and whole and present.isin([0, 1]).all() and present.nunique() == 2 else "number"
    if pd.api.types.is_datetime64_any_dtype(present.dtype):
        return "number"
    if present.dtype == object and not present.map(lambda cell: isinstance(cell, str)).any():
        _check_cells(present)
        return "boolean" if present.map(lambda cell: isinstance(cell, bool | np.bool_)).all() else "number"
    return "category"


def _check_cells(present: pd.Series[Any]) -> None:
    allowed = str | int | float | bool | np.generic
    for row, cell in present.items():
        if not isinstance(cell, allowed):
            raise DataTypeError(
                f"column {present.name!r}, row {row}: a cell's argument must be a string or a number, not {type(cell).__name__!r}."
            )


def as_numbers(series: pd.Series[Any], name: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return a column as float64 with NaN where a cell is missing; dates as seconds since 1970."""
    if pd.api.types.is_datetime64_any_dtype(series.dtype):
        universal = series.dt.tz_convert(None) if series.dt.tz is not None else series
        seconds = universal.astype("datetime64[ns]").to_numpy().astype(np.int64) / 1e9
        return np.where(series.isna(), np.nan, seconds)
    try:
        return np.asarray(
            pd.to_numeric(series, errors="raise").astype("float64").to_numpy(dtype=np.float64, na_value=np.nan)
        )
    except (ValueError, TypeError):
        bad = series[pd.to_numeric(series, errors="coerce").isna() & series.notna()]
        row, cell = (bad.index[0], bad.iloc[0]) if len(bad) else ("?", series.iloc[0])
        raise DataError(
            f"column {name!r} holds numbers, but row {row} has {cell!r} ({len(bad)} such cells). "
            "Correct the cells, leave them empty, or say columns={...: 'category'} at fit."
        ) from None


def check_finite(values: np.ndarray[Any, Any], names: list[Any]) -> None:
    """Raise `DataError` for an infinite cell, saying where."""
    bad = np.argwhere(np.isinf(values))
    if len(bad):
        row, column = bad[0]
        raise DataError(
            f"column {names[column]!r}, row {row}: the value is infinity ({len(bad)} such cells). "
            "Infinite values cannot be used; replace them or leave the cells empty (missing)."
        )


def _with_range(column: Column, values: np.ndarray[Any, np.dtype[np.float64]]) -> Column:
    check_finite(values[:, None], [column.name])
    column.low, column.high = float(values.min()), float(values.max())
    if column.low == column.high:
        column.type, column.values = "constant", [column.low]
    elif column.type == "count":
        if column.low < 0 or not np.array_equal(values, np.round(values)):
            raise DataError(
                f"column {column.name!r} cannot be counts: it has values such as {values[(values < 0) | (values != np.round(values))][0]:g}."
            )
    else:
        size = max(abs(column.low), abs(column.high))  # squares of 1e300 would overflow
        column.mean = float((values / size).mean() * size)
        column.scale = float(((values - column.mean) / size).std() * size) or 1.0
    return column


def _with_values(column: Column, present: pd.Series[Any], *, asked: bool) -> Column:
    counts = present.value_counts()
    if len(counts) == 1 and not (asked and column.type == "boolean"):
        column.type, column.values = "constant", [_plain(counts.index[0])]
        return column
    if column.type == "boolean":
        extra = [v for v in counts.index if v not in (0, 1)]
        if extra:
            raise DataError(
                f"column {column.name!r} cannot be boolean: it has {extra[0]!r}. Use True and False, or 1 and 0."
            )
        return column
    if not asked and len(counts) > max(20, 0.9 * len(present)):
        column.type = "key"
        return column
    kept = counts.index[:MAX_CATEGORIES]  # most frequent first; the rest counts as missing
    column.values = [_plain(v) for v in sorted(kept, key=str)]
    return column


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def share_a_unit(fields: list[Column]) -> bool:
    """Whether all numbers start at the same value and most go up to about the same one, as pixels and marks do."""
    if any(c.type not in ("number", "constant", "empty") for c in fields):
        return False
    numbers = [c for c in fields if c.type == "number"]
    lows, highs = np.array([c.low for c in numbers]), np.array([c.high for c in numbers])
    span = highs.max() - lows.min()
    return bool(len(numbers) >= 8 and np.ptp(lows) <= 0.01 * span and np.median(highs - lows) >= 0.9 * span)


def encoded(c: Column, series: pd.Series[Any], notes: dict[str, int]) -> tuple[Array, Array]:
    """Encode a count, boolean or category column; return its values (rows, width) and where it is present."""
    seen = series.notna().to_numpy()
    if c.type == "category":
        number = pd.Index(c.values).get_indexer(pd.Index(series.astype(object)))
        new = seen & (number < 0)
        notes[f"column {c.name!r}: categories not seen at fit were treated as missing"] = int(new.sum())
        x = np.zeros((len(series), c.width), dtype=np.float32)
        x[np.flatnonzero(number >= 0), number[number >= 0]] = 1.0
        return x, number >= 0
    values = as_numbers(series, c.name)
    check_finite(values[:, None], [c.name])
    fits = np.isin(values, (0, 1)) if c.type == "boolean" else (values >= 0) & (values == np.round(values))
    notes[f"column {c.name!r}: values that are no {c.type} were treated as missing"] = int((seen & ~fits).sum())
    return np.where(fits, values, 0.0).astype(np.float32)[:, None], fits


def decoded_column(c: Column, x: Array) -> Array:
    """Return the values of a count, boolean or category column from their encoded form."""
    if c.type == "category":
        return np.asarray(np.array(c.values, dtype=object)[x.argmax(1)])
    return np.asarray(x[:, 0] >= 0.5 if c.type == "boolean" else x[:, 0])


def restored(c: Column, values: Array) -> Any:
    """Return a decoded column in the dtype that it came in, where its values allow."""
    series: Any = pd.Series(values, name=c.name)
    if c.type in ("number", "count") and "int" in c.dtype.lower():
        series = series.round()
    if c.dtype.startswith("datetime"):
        dates = pd.to_datetime(series, unit="s", utc=True)
        return (dates if "," in c.dtype else dates.dt.tz_localize(None)).astype(c.dtype)  # a comma: with a time zone
    try:
        return series.astype(c.dtype)
    except (ValueError, TypeError):
        return series.infer_objects()
