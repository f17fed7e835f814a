"""What the columns of a table are, found out from their cells or told by the user."""

from __future__ import annotations

import re
from dataclasses import asdict
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from engram.data.cells import (
    WHOLE,
    Array,
    are_plain,
    check_cells,
    check_finite,
    has_texts,
    is_plain,
    loses_digits,
    may_hold_texts,
    plain,
    plain_cells,
)
from engram.data.columns import MAX_CATEGORIES, TYPES, Column, numbers_in, without_marks
from engram.data.dates import DateForm, date_form
from engram.data.dtypes import MOST_PLACES, holds_others, kept_name, native
from engram.data.labels import keep_cells
from engram.data.texts import MARKS, NumberStyle, flag_words, is_mark, number_style, some, stripped
from engram.errors import DataError, UsageError, nearest

NAMING = frozenset(("category", "class", "code", "group", "id", "kind", "plz", "postcode", "type", "zip", "zipcode"))
FEW = 100  # different whole numbers at most that are categories by their column's name
FEW_TEXTS = 20  # different whole numbers at most that are categories because they are texts
ROWS_EACH = 5  # rows per category that a guess needs
# standard deviation of numbers, below about which its inverse is infinite and they count as constant
LEAST = 4 / np.finfo(np.float64).max
KEYS = 0.9  # of the rows that have a value of their own, from which on it is a key, ...
FEW_KEYS = 20  # where there are more of them than these
LONG = 25  # letters of a text on average, and ...
WORDS = 4  # words, from which it is free text


def inferred_frame(frame: pd.DataFrame, wishes: dict[str, str], *, flags: bool) -> list[Column]:
    """Find out the columns of a DataFrame: all plain numbers at once, the others one by one."""
    dtypes = dict(frame.dtypes.items())
    names = [n for n, dtype in dtypes.items() if is_plain(dtype) and str(n) not in wishes]
    found: dict[Any, Column] = {}
    if names:
        values = frame[names].to_numpy(dtype=np.float64)
        for j, column in enumerate(inferred_numbers(values, names, [str(dtypes[n]) for n in names])):
            _refine(column, values[:, j], frame, flags=flags)
            found[column.name] = column
    for name in frame.columns:
        if name not in found:
            found[name] = inferred(name, frame[name], wishes.get(str(name)), flags=flags)
    return [found[name] for name in frame.columns]


def _refine(column: Column, values: Array, frame: pd.DataFrame, *, flags: bool) -> None:
    """See whether numbers are flags, or whole numbers that only name."""
    is_whole = column.dtype.startswith(("int", "uint"))
    huge = is_whole and max(-column.low, column.high) > WHOLE
    if huge and frame[column.name].nunique() > 1:  # they may all be the same as floats
        column.type = "number"
    if column.type != "number":
        return
    if is_whole and flags and column.low == 0 and column.high == 1:
        column.type = "boolean"
        return
    names = huge or _names_things(column.name)
    if not (column.missing or names):
        return
    present = values[~np.isnan(values)]
    if not (is_whole or np.array_equal(present, np.round(present))):
        return
    if column.missing and not is_whole:
        column.form["whole"] = True
    if names:
        _name(column, frame[column.name].dropna(), huge=huge)


def _names_things(name: Any) -> bool:
    return not NAMING.isdisjoint(word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", str(name)))


def _name(column: Column, present: pd.Series[Any], *, huge: bool) -> None:
    """Make a category of whole numbers that only name, or a key where there are too many of them; ``huge`` ones are taken as texts are."""
    different = present.nunique()
    nearly_each = _is_nearly_each(different, len(present))
    if not nearly_each if huge else (different <= FEW and len(present) >= ROWS_EACH * different):
        column.type, column.mean, column.scale = "category", 0.0, 1.0
        _with_categories(column, present)
    elif huge or (different > FEW and (nearly_each or _is_id(column.name))):
        column.type = "key"


def _is_nearly_each(different: int, rows: int) -> bool:
    """Whether nearly each of the rows has a value of its own, so that values are keys; of few rows they are none."""
    return different > max(FEW_KEYS, KEYS * rows)


def _is_id(name: Any) -> bool:
    return "id" in (word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", str(name)))


def inferred(name: Any, series: pd.Series[Any], wish: str | None, *, flags: bool) -> Column:
    """Find out the type of a column; ``flags`` says whether whole numbers that are only 0 and 1 are booleans."""
    if wish is not None and wish not in TYPES:
        raise UsageError(
            f"columns= asks for the type {wish!r} for column {name!r}, which does not exist. {nearest(wish, TYPES)}"
        )
    came, series = series.dtype, native(series)
    column = Column(name, wish or "", kept_name(came, series.dtype), missing=int(series.isna().sum()))
    if wish == "drop":
        return column
    present = series.dropna()
    if present.empty:
        column.type = "empty"
        return column
    if holds_others(present.dtype):
        check_cells(present)
    if may_hold_texts(present) and has_texts(present):
        present = _of_texts(column, present, wish)
    elif wish == "date" or not wish:
        _of_values(column, present, wish, flags=flags)
    return _completed(column, present, series, wish)


def _of_values(column: Column, present: pd.Series[Any], wish: str | None, *, flags: bool) -> None:
    """Find out the type of cells that are no texts."""
    dtype: Any = present.dtype
    sorts = set(map(type, present.to_numpy())) if dtype == np.object_ else set()
    if pd.api.types.is_datetime64_any_dtype(dtype) or isinstance(dtype, pd.PeriodDtype):
        zone = str(dtype.tz) if getattr(dtype, "tz", None) else ""
        column.type, column.form["date"] = "date", asdict(DateForm(zone=zone))
    elif sorts and all(hasattr(sort, "toordinal") for sort in sorts):
        dates = "datetime" if any(hasattr(sort, "hour") for sort in sorts) else "date"
        column.type, column.form["date"] = "date", asdict(DateForm(sort=dates))
    elif wish == "date":
        form = date_form(stripped(present), asked=True)
        if form is None:
            raise _no_dates(column.name, present)
        column.form["date"] = asdict(form)
    elif pd.api.types.is_bool_dtype(dtype) or (sorts and sorts <= {bool, np.bool_}):
        column.type = "boolean"
    elif pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_timedelta64_dtype(dtype):
        column.type = "number"
        if pd.api.types.is_integer_dtype(dtype):
            huge = int(abs(present).max()) > WHOLE
            if flags and present.isin([0, 1]).all() and present.nunique() == 2:
                column.type = "boolean"
            elif huge or _names_things(column.name):
                _name(column, present, huge=huge)
    else:
        _of_objects(column, present, sorts)


def _of_objects(column: Column, present: pd.Series[Any], sorts: set[type]) -> None:
    """Find out the type of objects, which may be Python's own numbers."""
    column.type = "number" if sorts and all(_is_number(sort) for sort in sorts) else "category"
    _keep_places(column, present)
    if sorts and all(issubclass(sort, int | np.integer) for sort in sorts) and max(map(abs, present)) > WHOLE:
        _name(column, present, huge=True)


def _is_number(sort: type) -> bool:
    return hasattr(sort, "__float__")


def _keep_places(column: Column, present: pd.Series[Any]) -> None:
    """Keep how many decimals numbers have that are Python's own decimals."""
    sorts = set(map(type, present.to_numpy()))
    if present.dtype == np.object_ and Decimal in sorts and sorts <= {Decimal, int}:
        exponents = (cell.as_tuple().exponent for cell in present if isinstance(cell, Decimal))
        places = [-exponent for exponent in exponents if isinstance(exponent, int)]  # of infinity it is a letter
        column.form["decimal"] = min(max([0, *places]), MOST_PLACES)


def _no_dates(name: Any, present: pd.Series[Any]) -> DataError:
    return DataError(
        f"column {name!r} cannot be dates: it has cells such as {present.iloc[0]!r}. Write dates as 2024-01-31, or 31.01.2024."
    )


def _of_texts(column: Column, present: pd.Series[Any], wish: str | None) -> pd.Series[Any]:
    """Find out what texts stand for; return the cells that are left without marks for missing."""
    texts = stripped(present)
    marks = is_mark(texts, MARKS)
    rest = texts[~marks]
    if wish == "date" or not wish:
        form = date_form(rest, asked=wish == "date") if len(rest) else None
        if form is not None and (wish or not form.ambiguous):
            column.type, column.form["date"] = "date", asdict(form)
            return present
        if wish:
            raise _no_dates(column.name, present)
        if form is not None:
            column.form["in doubt"] = form.ambiguous
    words = flag_words(rest) if wish == "boolean" or not wish else None
    if words is not None:
        column.type, column.form["words"] = "boolean", words
        return present
    if wish in ("number", "count") or not wish:
        style = number_style(rest) if len(rest) else None
        if style is not None and (wish or marks.any() or not _only_names(rest, style)):
            column.type, column.form["number"] = wish or "number", asdict(style)
            if present.dtype == object and not all(isinstance(cell, str) for cell in present[~marks]):
                column.form["mixed"] = True
                _keep_places(column, present[~marks])
            return present
    column.type = wish or "category"
    return present


def _only_names(texts: pd.Series[Any], style: NumberStyle) -> bool:
    """Whether few different whole numbers were turned into texts, as one does to say that they are categories."""
    different = len(some(texts))
    bare = not (style.prefix or style.suffix or style.grouped or style.places)
    return bare and different <= FEW_TEXTS and len(texts) >= ROWS_EACH * different


def _completed(column: Column, present: pd.Series[Any], series: pd.Series[Any], wish: str | None) -> Column:
    """Add what the type needs: ranges or categories."""
    if column.type in ("key", "text") or (column.type == "category" and column.values):
        return column
    if column.type in ("number", "count", "date"):
        values = numbers_in(column, present, {})
        column.missing = len(series) - int((~np.isnan(values)).sum())
        found = with_range(column, values[~np.isnan(values)])
        if column.type != "date" and wish is not None and max(-column.low, column.high) > WHOLE:
            _check_digits(column, present)
        return found
    return _with_values(column, present, asked=wish is not None)


def _check_digits(column: Column, present: pd.Series[Any]) -> None:
    """Raise `DataError` where whole numbers that were asked for as numbers lose digits as floats."""
    lost = next((cell for cell in pd.unique(present) if loses_digits(cell)), None)
    if lost is not None:
        raise DataError(
            f"column {column.name!r} cannot be numbers: it has whole numbers beyond 2**53, of which a float64 loses the last digits "
            f"({lost} would be {int(float(lost))}). Take the smallest off (x - x.min()), say 'category', or give floats."
        )


def inferred_numbers(values: Array, names: list[Any] | None = None, dtypes: list[str] | None = None) -> list[Column]:
    """Find out the columns of an array of numbers, all at once: number, constant or empty."""
    names = list(range(values.shape[1])) if names is None else names
    dtypes = [str(values.dtype)] * values.shape[1] if dtypes is None else dtypes
    with np.errstate(over="ignore", invalid="ignore"):
        whole = bool(np.isfinite(values.sum(dtype=np.float64)))
    if not whole:
        check_finite(values, names)
    missing = np.zeros(values.shape[1], dtype=int) if whole else np.isnan(values).sum(0)
    empty = missing == len(values)
    filled = values if whole else np.where(empty, 0.0, values)  # a column without any value has no mean
    low, high = (f(filled, axis=0).astype(np.float64) for f in ((np.min, np.max) if whole else (np.nanmin, np.nanmax)))
    size = np.maximum(
        np.maximum(np.abs(low), np.abs(high)), np.finfo(np.float64).tiny
    )  # squares of 1e300 would overflow
    scaled = filled / size
    mean, scale = (f(scaled, axis=0) * size for f in ((np.mean, np.std) if whole else (np.nanmean, np.nanstd)))
    found = []
    for i, name in enumerate(names):
        if empty[i]:
            found.append(Column(name, "empty", dtypes[i], missing=int(missing[i])))
            continue
        column = Column(name, "number", dtypes[i], low=float(low[i]), high=float(high[i]), missing=int(missing[i]))
        if low[i] == high[i] or 0 < scale[i] < LEAST:
            column.type, column.values = "constant", [float(low[i])]
        else:
            column.mean, column.scale = float(mean[i]), float(scale[i]) or 1.0
        found.append(column)
    return found


def with_range(column: Column, values: Array) -> Column:
    """Set range, mean and scale of a number, count or date column from the values that are there."""
    if not len(values):
        column.type = "empty"
        return column
    check_finite(values[:, None], [column.name])
    column.low, column.high = float(values.min()), float(values.max())
    date = column.date
    if date is not None:
        date.look_at(values)
        column.form["date"] = asdict(date)
    size = max(abs(column.low), abs(column.high)) or 1.0  # squares of 1e300 would overflow
    mean = float((values / size).mean() * size)
    scale = float(((values - mean) / size).std() * size) or 1.0
    if column.low == column.high or scale < LEAST:
        column.type, column.values = "constant", [column.low]
    elif column.type == "count":
        if column.low < 0 or not np.array_equal(values, np.round(values)):
            bad = values[(values < 0) | (values != np.round(values))][0]
            raise DataError(f"column {column.name!r} cannot be counts: it has values such as {bad:g}.")
    else:
        column.mean, column.scale = mean, scale
    return column


def _with_values(column: Column, present: pd.Series[Any], *, asked: bool) -> Column:
    """Set what a boolean or category column needs."""
    cells = without_marks(plain_cells(present), {}).dropna()
    column.missing += len(present) - len(cells)
    if cells.empty:
        column.type = "empty"
        return column
    counts = cells.value_counts()
    if len(counts) == 1 and not (asked and column.type == "boolean"):
        column.type, column.values = "constant", [plain(counts.index[0])]
        _keep_list(column, present)
        return column
    if column.type == "boolean":
        if "words" not in column.form:
            extra = [v for v in counts.index if v not in (0, 1)]
            if extra:
                raise DataError(
                    f"column {column.name!r} cannot be boolean: it has {extra[0]!r}. Use True and False, or 1 and 0."
                )
        return column
    if not asked and _is_nearly_each(len(counts), len(cells)):
        column.type = "text" if _is_free(cells) else "key"
        return column
    if not asked and len(counts) > max(20, 0.5 * len(cells)) and _is_free(cells):
        column.type = "text"
        return column
    _with_categories(column, present, counts)
    return column


def _is_free(cells: pd.Series[Any]) -> bool:
    texts = [str(cell) for cell in cells[:1000]]
    return bool(np.mean([len(t) for t in texts]) >= LONG and np.mean([len(t.split()) for t in texts]) >= WORDS)


def _with_categories(column: Column, present: pd.Series[Any], counts: pd.Series[int] | None = None) -> None:
    counts = plain_cells(present).value_counts() if counts is None else counts
    kept = counts.index[:MAX_CATEGORIES]  # most frequent first; the rest counts as missing
    column.values = sorted(dict.fromkeys(plain(v) for v in kept), key=str)
    if len(counts) > len(kept):
        column.form["rest"] = len(counts) - len(kept)
    _keep_list(column, present)


def _keep_list(column: Column, present: pd.Series[Any]) -> None:
    """Keep the list of categories that the dtype has, in its order, those without rows too; and what cells are that are not plain."""
    if not isinstance(present.dtype, pd.CategoricalDtype):
        if not (may_hold_texts(present) and are_plain(present.to_numpy())):
            kept = set(column.values)
            keep_cells(column.form, (cell for cell in present.unique() if plain(cell) in kept))
        return
    keep_cells(column.form, present.cat.categories)
    names = list(dict.fromkeys(plain(v) for v in present.cat.categories))
    column.form |= {"categories": names, "ordered": bool(present.cat.ordered)}
    if len(column.values) > 1:
        kept = set(column.values)
        column.values = [name for name in names if name in kept]
