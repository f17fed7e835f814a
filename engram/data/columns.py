"""One column of a table: its type, how its cells are read, encoded, decoded and written."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from engram.data import labels
from engram.data.cells import (
    Array,
    as_numbers,
    as_whole,
    category_numbers,
    check_finite,
    has_texts,
    is_plain,
    may_hold_texts,
    not_a_number,
    plain_cells,
)
from engram.data.dates import ASKED, DateForm
from engram.data.dtypes import WHOLE, as_decimals, as_dtype, dtype_of, native
from engram.data.texts import MARKS, SURE_MARKS, NumberStyle, is_mark, stripped, values

TYPES = ("number", "count", "boolean", "category", "date", "drop")  # what a user may ask for
IGNORED = ("constant", "empty", "key", "text", "drop")  # what no network sees
MAX_CATEGORIES = 1000
FAR = 1e6  # encoded values are clipped here: further out float32 squares overflow
EXAMPLES = 3  # of stray texts that a note names
MARKED = "cells that hold a mark for missing, such as '?' or 'n/a', were treated as missing"
Notes = dict[str, int]


@dataclass
class Column:
    """A fitted column.

    Parameters
    ----------
    name : str or int
        The user's name for it.
    type : str
        number, count, boolean, category, date, or (ignored) constant, empty, key, text, drop.
    dtype : str
        The pandas dtype it came in and goes back to.
    mean, scale : float
        Numbers (or their logarithms, where the likelihood wants these) are encoded as (value - mean) / scale; dates by their
        seconds since 1970.
    low, high : float
        Range of the values seen.
    missing : int
        How many cells were missing at fit, marks for missing included.
    values : list
        Categories in order, or the one value of a constant.
    form : dict
        How cells are read and written where the dtype does not say it: "date", "number" (a style of texts), "words" (of a
        flag), "whole" (floats that are whole numbers), "decimal" (places of Python's decimals), "categories" and "ordered", "rest"
        (categories left out), "cells" (categories that are no texts, by their text), "texts" (why some come back as texts), "fixed"
        (numbers that are all the same).
    likelihood : str
        The distribution of a number where it is the column's own; "" is that of all the table's numbers.
    trials : float
        What counts are out of: the highest one seen (binomial), the mean sum of a row (multinomial).
    marginal : dict
        What distributions give a held-out cell, see `engram.data.marginals`; empty where that was not compared.
    strays : list of str
        Texts among numbers or dates that were treated as missing, a few of them. Not saved.
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
    form: dict[str, Any] = field(default_factory=dict)
    likelihood: str = ""
    trials: float = 0.0
    marginal: dict[str, Any] = field(default_factory=dict)
    strays: list[str] = field(default_factory=list)

    @property
    def width(self) -> int:
        """How many encoded values the column takes."""
        if self.type == "date":
            return 1 + 2 * len(self.form["date"]["cycles"])
        return 0 if self.type in IGNORED else len(self.values) if self.type == "category" else 1

    @property
    def date(self) -> DateForm | None:
        """How its dates are written, None where it has none."""
        return DateForm(**self.form["date"]) if "date" in self.form else None

    @property
    def style(self) -> NumberStyle | None:
        """How its numbers are written as texts, None where they are numbers."""
        return NumberStyle(**self.form["number"]) if "number" in self.form else None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {name: value for name, value in asdict(self).items() if name != "strays"}

    def shown(self, value: Any) -> str:
        """Return a value of the column as people know it."""
        if self.date is not None:
            return str(pd.Timestamp(round(value), unit="s")).removesuffix(" 00:00:00")
        return f"{value:.6g}" if isinstance(value, float) else str(value)

    def describe(self) -> str:
        """Say in words what the column is."""
        gaps = f", {self.missing} missing" if self.missing else ""
        if self.type in ("number", "count"):
            style = self.style
            written = f", written like {style.written(self.high)}" if style and (style.prefix or style.suffix) else ""
            own = f", {self.likelihood}" if self.likelihood else ""
            return f"{self.type} from {self.low:.6g} to {self.high:.6g}{written}{own}{gaps}"
        if self.type == "date":
            cycles = self.form["date"]["cycles"]
            phases = f", with the phase of {' and '.join(cycles)}" if cycles else ""
            return f"date from {self.shown(self.low)} to {self.shown(self.high)}{phases}{gaps}"
        if self.type == "category":
            rest = f" (the most frequent; {self.form['rest']} more count as missing)" if self.form.get("rest") else ""
            return f"category of {len(self.values)}{rest}{gaps}"
        if self.type == "constant":
            return f"constant ({self.shown(self.values[0])}), ignored"
        told = {
            "empty": "without any value, ignored",
            "key": "a different value in nearly every row, or a number that only names, ignored",
            "text": "free text, ignored",
            "drop": "dropped as asked",
        }
        return told.get(self.type, self.type + gaps)


# --- cells in ---


def numbers_in(c: Column, series: pd.Series[Any], notes: Notes) -> Array:
    """Return the cells of a number, count, date or boolean column as float64, NaN where missing; note what was left out."""
    series = native(series)
    date, texts = c.date, may_hold_texts(series) and has_texts(series)
    if date is not None and (date.format == ASKED or not pd.api.types.is_numeric_dtype(series.dtype)):
        found = date.read(series)
        return _noted(c, series, found, notes, "dates") if may_hold_texts(series) else found
    if not texts:
        return as_numbers(series, c.name)
    if "words" in c.form or c.type == "boolean":
        found = _flags(c, series)
        return _noted(c, series, found, notes, "flags", strict=not c.form)
    there = series.notna().to_numpy()
    found = np.full(len(series), np.nan)
    found[there] = values(stripped(series[there]), c.style or NumberStyle())
    return _noted(c, series, found, notes, "numbers", strict="number" not in c.form)


def number_values(frame: pd.DataFrame, numbers: list[Column], notes: Notes) -> Array:
    """Return the number columns as (rows, columns) float64: those of plain numbers in one go."""
    dtypes = dict(frame.dtypes.items())
    plain = [j for j, c in enumerate(numbers) if is_plain(dtypes[c.name])]
    if len(plain) == len(numbers):
        return frame[[c.name for c in numbers]].to_numpy(dtype=np.float64)
    values = np.empty((len(frame), len(numbers)))
    values[:, plain] = frame[[numbers[j].name for j in plain]].to_numpy(dtype=np.float64)
    for j in set(range(len(numbers))).difference(plain):
        values[:, j] = numbers_in(numbers[j], frame[numbers[j].name], notes)
    return values


def _flags(c: Column, series: pd.Series[Any]) -> Array:
    no, yes = c.form.get("words", ["False", "True"])
    known = {no.lower(): 0.0, yes.lower(): 1.0, "0": 0.0, "1": 1.0, "false": 0.0, "true": 1.0}
    return np.array([known.get(str(cell).strip().lower(), np.nan) for cell in series], dtype=np.float64)


def _noted(c: Column, series: pd.Series[Any], found: Array, notes: Notes, what: str, *, strict: bool = False) -> Array:
    """Count marks for missing and other texts that are none of what the column holds; ``strict`` refuses the latter."""
    left = series[np.isnan(found) & series.notna().to_numpy()]
    if len(left):
        texts = stripped(left)
        marks = is_mark(texts, MARKS)
        others = texts[~marks]
        if strict and len(others):
            row = others.index[0]
            raise not_a_number(c.name, row, left[~marks].iloc[0], len(others))
        c.strays = c.strays or list(dict.fromkeys(others))[:EXAMPLES]
        such = f", such as {', '.join(repr(t[:40]) for t in c.strays)}," if c.strays else ""
        count(notes, MARKED, int(marks.sum()))  # one note for all columns: a file can have '?' in each of them
        count(notes, f"column {c.name!r}: texts that are no {what}{such} were treated as missing", len(others))
    return found


def count(notes: Notes, note: str, n: int) -> None:
    """Add a note where it counts anything."""
    if n:
        notes[note] = notes.get(note, 0) + n


def categories_in(c: Column, series: pd.Series[Any], notes: Notes) -> Array:
    """Return the number of each cell's category, -1 where it is missing; note what was left out."""
    cells = without_marks(plain_cells(series), notes)
    number = category_numbers(c.values, cells)
    left = int((cells.notna().to_numpy() & (number < 0)).sum())
    which = f"beyond the {MAX_CATEGORIES:,} most frequent or not seen" if c.form.get("rest") else "not seen"
    count(notes, f"column {c.name!r}: categories {which} at fit were treated as missing", left)
    return number


def without_marks(cells: pd.Series[Any], notes: Notes) -> pd.Series[Any]:
    """Return plain cells with the sure marks for missing taken out, counted."""
    found = {c for c in pd.unique(cells) if isinstance(c, str) and len(c) < 16 and c.strip().lower() in SURE_MARKS}
    if not found:
        return cells
    marked = cells.isin(found)
    count(notes, MARKED, int(marked.sum()))
    return cells.mask(marked, None)


def typed(c: Column, series: pd.Series[Any]) -> pd.Series[Any]:
    """Return cells as what they stand for: numbers, dates, flags and categories; missing where they stand for nothing."""
    if c.type in ("number", "count", "boolean"):
        numbers = pd.Series(numbers_in(c, series, {}), series.index, name=c.name)
        in_numbers = is_numeric_dtype(series.dtype) and not is_bool_dtype(series.dtype)  # a flag may be written 0 and 1
        return numbers if c.type != "boolean" or in_numbers else numbers.where(numbers.isin((0, 1))).astype("boolean")
    if c.type == "date":
        moments = pd.Series(numbers_in(c, series, {}), series.index, name=c.name)
        return pd.to_datetime(moments, unit="s")
    return without_marks(plain_cells(series), {}) if c.type == "category" else series


def encode_into(x: Array, c: Column, series: pd.Series[Any], notes: Notes) -> Array:
    """Write a count, boolean, date or category column into x, (rows, width) of zeros; return where it is present."""
    if c.type == "category":
        number = categories_in(c, series, notes)
        x[np.flatnonzero(number >= 0), number[number >= 0]] = 1.0
        return np.asarray(number >= 0)
    cells = numbers_in(c, series, notes)
    check_finite(cells[:, None], [c.name])
    seen = ~np.isnan(cells)
    date = c.date
    if date is not None:
        moments = cells[seen]
        x[seen, 0] = np.clip((moments - c.mean) / c.scale, -FAR, FAR)
        x[seen, 1:] = date.circles(moments)
        return seen
    fits = np.isin(cells, (0, 1)) if c.type == "boolean" else (cells >= 0) & (cells == np.round(cells))
    count(notes, f"column {c.name!r}: values that are no {c.type} were treated as missing", int((seen & ~fits).sum()))
    x[fits, 0] = np.minimum(cells[fits], FAR)
    return np.asarray(fits)


# --- cells out ---


def decoded_column(c: Column, x: Array) -> Array:
    """Return the values of a count, boolean, date or category column from their encoded form."""
    if c.type == "category":
        return np.asarray(np.array(c.values, dtype=object)[x.argmax(1)])
    if "fixed" in c.form:
        return np.full(len(x), c.low)
    if c.type == "date" and c.date is not None:
        return c.date.moments(x[:, 0].astype(np.float64) * c.scale + c.mean, x[:, 1:].astype(np.float64))
    return np.asarray(x[:, 0] >= 0.5 if c.type == "boolean" else x[:, 0])


def restored(c: Column, found: Array) -> Any:
    """Return a decoded column in the dtype and the style that it came in, where its values allow."""
    known = c.form and c.type not in ("empty", "key", "text", "drop")
    cells = _in_form(c, found) if known else None
    if cells is not None:
        return cells
    if c.type in ("number", "count") and WHOLE.fullmatch(c.dtype):
        return _as_whole(c, found)
    if c.type in ("number", "count") and re.fullmatch(r"float\d+", c.dtype):
        return (np.round(found) if c.form.get("whole") else found).astype(c.dtype)
    return as_dtype(pd.Series(found, name=c.name), c.dtype)


def _in_form(c: Column, found: Array) -> Any:
    """Return a decoded column as its form says that cells are written, None where it says nothing."""
    date, style, dtype = c.date, c.style, c.dtype
    cells: Any = None
    if date is not None:
        cells = date.written(found.astype(np.float64), dtype)
    elif style is not None and not c.form.get("mixed"):
        cells = [style.written(value) for value in found.astype(np.float64).tolist()]
    elif "words" in c.form:
        cells = np.array(c.form["words"], dtype=object)[found.astype(int)]
    elif "decimal" in c.form:
        cells = as_decimals(found.astype(np.float64), c.form["decimal"])
    elif "categories" in c.form:
        own = labels.cells(c.form, found)
        cells, dtype = pd.Categorical(own, labels.categories(c.form), ordered=c.form["ordered"]), "category"
    elif "cells" in c.form:
        cells = list(labels.cells(c.form, found))
    if cells is None:
        return None
    series: Any = pd.Series(cells, name=c.name, dtype=object if isinstance(cells, list) else None)
    return series if dtype == "category" else series.astype(dtype_of(dtype))


def _as_whole(c: Column, found: Array) -> Any:
    """Round to whole numbers that the dtype can hold."""
    name = c.dtype.lower().removesuffix("[pyarrow]")
    whole = as_whole(found, name)
    return whole if c.dtype == name else pd.Series(whole, name=c.name).astype(dtype_of(c.dtype))


def share_a_unit(fields: list[Column]) -> bool:
    """Whether all numbers start at the same value and most go up to about the same one, as pixels and marks do."""
    if any(c.type not in ("number", "constant", "empty") for c in fields):
        return False
    numbers = [c for c in fields if c.type == "number" and c.low < c.high]
    if len(numbers) < 8:
        return False
    lows, highs = np.array([c.low for c in numbers]), np.array([c.high for c in numbers])
    span = highs.max() - lows.min()
    return bool(np.ptp(lows) <= 0.01 * span and np.median(highs - lows) >= 0.9 * span)
