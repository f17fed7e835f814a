"""The dtypes that columns come in: cells of Apache Arrow as pandas' own, and the names that are kept of dtypes read again."""

from __future__ import annotations

import datetime
import decimal
import re
from typing import Any

import pandas as pd

DECIMAL = re.compile(r"(decimal(?:32|64|128|256))\((\d+), (-?\d+)\)\[pyarrow\]")
WHOLE = re.compile(r"[Uu]?[Ii]nt\d+|u?int\d+\[pyarrow\]")
MOST_PLACES = 400  # of decimals that are made of floats
CLOCK = ("time32", "time64")  # times of day
NO_DTYPE = (ValueError, TypeError, NotImplementedError)  # a name that says no dtype, or cells that a dtype cannot hold


def native(series: pd.Series[Any]) -> pd.Series[Any]:
    """Return dates, durations, decimals, half floats and dictionaries of Arrow as pandas' own cells, objects that are durations, too.

    Times of day become durations since midnight, so that they are numbers as durations are. All else stays as it is.
    """
    if not isinstance(series.dtype, pd.ArrowDtype):
        return pd.to_timedelta(series) if _are_durations(series) else series
    import pyarrow as pa
    from pyarrow import types

    sort, cells = series.dtype.pyarrow_dtype, series.array.__arrow_array__()
    if types.is_date(sort):
        cells = cells.cast(pa.timestamp("s"))
    elif types.is_time(sort):
        cells = cells.cast(pa.time64("ns")).cast(pa.int64()).cast(pa.duration("ns"))
    elif types.is_decimal(sort) or types.is_float16(sort):
        cells = cells.cast(pa.float64())
    elif not (types.is_timestamp(sort) or types.is_duration(sort) or types.is_dictionary(sort)):
        return series
    found: Any = cells.to_pandas()
    return pd.Series(found.set_axis(series.index), name=series.name)


def _are_durations(series: pd.Series[Any]) -> bool:
    """Whether the cells are objects, all of them durations but for those missing."""
    if series.dtype != object or series.empty:
        return False
    if not isinstance(series.iloc[int(series.notna().to_numpy().argmax())], datetime.timedelta):
        return False
    return all(issubclass(sort, datetime.timedelta) for sort in set(map(type, series.dropna().to_numpy())))


def as_decimals(values: Any, places: int) -> list[decimal.Decimal]:
    """Return numbers, (rows,) float64, as Python's decimals with so many places."""
    step, exact = decimal.Decimal(1).scaleb(-places), decimal.Context(prec=2000)
    return [decimal.Decimal(repr(value)).quantize(step, context=exact) + 0 for value in values.tolist()]


def holds_others(dtype: Any) -> bool:
    """Whether a dtype may hold cells that are no single value: any object, or lists, records and bytes of Arrow."""
    if not isinstance(dtype, pd.ArrowDtype):
        return bool(pd.api.types.is_object_dtype(dtype))
    from pyarrow import types

    sort = dtype.pyarrow_dtype
    tests = (types.is_nested, types.is_binary, types.is_large_binary, types.is_fixed_size_binary)
    return any(test(sort) for test in tests) or str(sort) == "binary_view"


def dtype_of(name: str) -> Any:
    """Return the dtype of a name that `kept_name` gave; raise `TypeError` or `ValueError` for any other."""
    import pyarrow as pa

    found = DECIMAL.fullmatch(name)
    if found is not None:  # pandas reads no Arrow type with numbers in it
        sort = getattr(pa, found[1], None)
        if sort is None:
            raise TypeError(f"this version of pyarrow has no {found[1]}")
        return pd.ArrowDtype(sort(int(found[2]), int(found[3])))
    if name == "string[pyarrow]":  # to pandas that is its own type of texts
        return pd.ArrowDtype(pa.string())
    try:
        return pd.api.types.pandas_dtype(name)
    except NotImplementedError as error:
        raise TypeError(str(error)) from None


def kept_name(came: Any, own: Any) -> str:
    """Return the name by which `dtype_of` finds again the dtype that a column came in, else that of its `native` cells, else "object"."""
    for dtype in (own,) if pd.api.types.is_object_dtype(came) else (came, own):
        try:
            dtype_of(str(dtype))
        except NO_DTYPE:
            continue
        return str(dtype)
    return "object"


def as_dtype(series: pd.Series[Any], name: str) -> pd.Series[Any]:
    """Return decoded cells (dates and durations as seconds) in the dtype of a name, or as they are where it cannot hold them."""
    try:
        dtype, seconds = dtype_of(name), name.startswith(("time", "duration", "datetime"))
        values: Any = series.astype(float) if seconds else series
        if name.startswith(("timedelta", "duration")):
            values = pd.to_timedelta(values, unit="s")
        elif name.startswith(("datetime", "timestamp")):
            # dates as numbers: as told, or by a model of an earlier version
            dates = pd.to_datetime(values, unit="s", utc=True)
            values = dates if "," in name else dates.dt.tz_localize(None)
        elif name.startswith(CLOCK):
            values = pd.to_datetime(values.clip(0, 86_400 - 1e-3), unit="s").dt.time
        elif name.startswith(("decimal32", "decimal64")):  # pyarrow makes them of other decimals alone
            values = values.astype(dtype_of(re.sub(r"\d+", "128", name, count=1)))
        return pd.Series(values.astype(dtype))
    except NO_DTYPE:
        return series.infer_objects()
