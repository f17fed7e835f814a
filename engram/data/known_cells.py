"""Cells that generated rows are to have, ``{"country": "NL", "age": 40}``, checked and turned into bins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from engram.data.cells import Array, category_numbers, loses_digits, plain, plain_cells
from engram.data.coding import NUMBERS, Coding, Place
from engram.data.columns import Column, numbers_in
from engram.data.dates import iso_dates
from engram.data.decoding import written_numbers
from engram.errors import UsageError, nearest

LAST_BITS = 4  # of a number, that writing and reading may change


@dataclass
class Given:
    """Cells that drawn rows are to have.

    Parameters
    ----------
    bins : dict of array
        (rows,) bins of places by name.
    numbers : dict of array
        (rows,) exact numbers of the places that are numbers, NaN where missing.
    allowed : dict of array
        (rows, bins) bool: of places that are known in part (a combination), which bins fit.
    cells : dict of list
        Cells of columns that no model sees (keys, texts, constants), to be written as they are.
    """

    bins: dict[str, Array] = field(default_factory=dict)
    numbers: dict[str, Array] = field(default_factory=dict)
    allowed: dict[str, Array] = field(default_factory=dict)
    cells: dict[str, list[Any]] = field(default_factory=dict)

    def part(self, rows: slice) -> Given:
        """Return these rows of it."""
        bins, numbers, allowed = (
            {k: v[rows] for k, v in each.items()} for each in (self.bins, self.numbers, self.allowed)
        )
        return Given(bins, numbers, allowed)


def known_cells(coding: Coding, given: Mapping[Any, Any] | pd.DataFrame | None, n: int) -> Given:
    """Return given cells as bins: one cell for all rows, or one for each of n rows; None or NaN asks for a missing cell.

    Raises `UsageError` for a column that is not known, a category that was not kept, a number outside of the range at fit or one that
    the column cannot hold, or cells that break a constraint.
    """
    found = Given()
    if given is None:
        return found
    if not isinstance(given, Mapping | pd.DataFrame):
        raise UsageError(f"given= takes a dict of cells by column, or a DataFrame, not {type(given).__name__}.")
    columns = {str(name): cells for name, cells in given.items()}
    if len(columns) < len(asked := [str(name) for name in given]):
        twice = next(name for name in columns if asked.count(name) > 1)
        raise UsageError(f"given= has two columns that are called {twice!r}; give each of them once.")
    names = [str(c.name) for c in coding.fields if c.type != "drop"]
    for name, cells in columns.items():
        if name not in names:
            raise UsageError(f"given= names {name!r}, which is no column of this table. {nearest(name, names)}")
        _take(coding, coding.field(name), _listed(name, cells, n), found)
    _check_orders(coding, found)
    return found


def _listed(name: str, cells: Any, n: int) -> list[Any]:
    if isinstance(cells, str) or np.ndim(cells) == 0:
        return [cells] * n
    found = list(cells)
    if len(found) != n:
        raise UsageError(
            f"given[{name!r}] has {len(found)} cells, for {n} rows. Give one cell for all rows, or one for each."
        )
    return found


def _take(coding: Coding, c: Column, cells: list[Any], found: Given) -> None:
    """Add the cells of one column."""
    name, series = str(c.name), pd.Series(cells, name=c.name)
    if c.type in ("key", "text", "constant", "empty"):
        found.cells[name] = cells
        return
    place = coding.place_of(name)
    gone = series.isna().to_numpy()
    if gone.any() and not (place.cells or place.bins.missing):
        raise UsageError(f"given= asks for a missing cell in {name!r}, and rows at fit have none there.")
    if c.type in NUMBERS:
        numbers = _numbers(c, series, gone)
        found.numbers[name] = numbers
        filled = np.where(gone, c.low, numbers) - place.offset
        found.bins[name] = np.where(gone, place.bins.size - 1, place.bins.of(filled))
        return
    values = _flags(c, series, gone) if c.type == "boolean" else _categories(c, series, gone)
    if place.cells:
        _allow(place, name, values, found)
        return
    unseen = [v for v, lost in zip(values, gone, strict=True) if not lost and v not in place.bins.values]
    if unseen:
        raise UsageError(f"given[{name!r}] = {unseen[0]!r} is what no row at fit has: nothing was learned of it.")
    numbers = np.array([-1 if lost else place.bins.values.index(v) for v, lost in zip(values, gone, strict=True)])
    found.bins[name] = np.where(gone, place.bins.size - 1, numbers).astype(np.int64)


def _numbers(c: Column, series: pd.Series[Any], gone: Array) -> Array:
    """Return given numbers or dates, which lie in the range at fit."""
    texts = series.astype(object) if series.dtype != object else series
    if c.date is None and "number" not in c.form:
        numbers = pd.to_numeric(texts, errors="coerce").to_numpy(dtype=np.float64)
    else:
        numbers = numbers_in(c, series if c.date is not None and series.dtype != object else texts, {})
        if c.date is not None and c.date.format:
            numbers = np.where(np.isnan(numbers), iso_dates(series), numbers)
    bad = np.isnan(numbers) & ~gone
    if bad.any():
        form = f" like {written_numbers(c, np.array([c.low])).iloc[0]}" if c.date is not None and c.date.format else ""
        form += " or 2024-12-31" if form else ""
        raise UsageError(f"given[{str(c.name)!r}] takes a {c.type}{form}, and {plain(series[bad].iloc[0])!r} is none.")
    with np.errstate(invalid="ignore"):
        outside = (numbers < c.low) | (numbers > c.high)
    if outside.any():
        raise UsageError(
            f"given[{str(c.name)!r}] = {plain(series[outside].iloc[0])!r} is outside of the rows at fit, which go from {c.shown(c.low)} to "
            f"{c.shown(c.high)}: nothing was learned there."
        )
    _check_written(c, series[~gone], numbers[~gone])
    return numbers


def _check_written(c: Column, series: pd.Series[Any], numbers: Array) -> None:
    """Raise `UsageError` for a number or date that would come back as another: a fraction among whole numbers, an hour among days."""
    dtype = c.dtype.lower()
    whole = c.type == "count" or c.form.get("whole") or dtype.startswith(("int", "uint"))
    if not len(numbers) or (dtype.startswith(("float", "double", "half")) and not whole):
        return
    written = written_numbers(c, np.round(numbers) if whole else numbers)
    with np.errstate(invalid="ignore"):
        off = np.abs(numbers_in(c, written, {}) - numbers) > LAST_BITS * np.spacing(np.abs(numbers))
    off |= np.fromiter(map(loses_digits, series), dtype=bool, count=len(series))
    if off.any():
        at = int(np.argmax(off))
        raise UsageError(
            f"given[{str(c.name)!r}] = {plain(series.iloc[at])!r} is a cell that this column cannot have; "
            f"the nearest is {written.iloc[at]}."
        )


def _flags(c: Column, series: pd.Series[Any], gone: Array) -> list[bool | None]:
    """Return given flags, None where a missing one is asked for."""
    no, yes = c.form.get("words", ["False", "True"])
    known = dict.fromkeys(("0", "0.0", "false"), False) | dict.fromkeys(("1", "1.0", "true"), True)
    known |= {no.lower(): False, yes.lower(): True}
    found = [None if lost else known.get(str(cell).strip().lower()) for cell, lost in zip(series, gone, strict=True)]
    for value, cell, lost in zip(found, series, gone, strict=True):
        if value is None and not lost:
            raise UsageError(f"given[{str(c.name)!r}] takes {yes} or {no}, and {plain(cell)!r} is neither.")
    return found


def _categories(c: Column, series: pd.Series[Any], gone: Array) -> list[Any]:
    """Return given categories as the values that were kept, None where a missing one is asked for."""
    cells = plain_cells(series)
    numbers = category_numbers(c.values, cells)
    unseen = (numbers < 0) & ~gone
    if unseen.any():
        cell, known = cells[unseen].iloc[0], map(str, c.values)
        raise UsageError(
            f"given[{str(c.name)!r}] = {cell!r} is no category that was kept (rare ones are not). {nearest(str(cell), known)}"
        )
    return [None if lost else c.values[number] for number, lost in zip(numbers, gone, strict=True)]


def _allow(place: Place, name: str, values: list[Any], found: Given) -> None:
    """Say which combinations have the given cells."""
    at = place.columns.index(name)
    column = [cells[at] for cells in place.cells]
    fits = np.array([[cell == value for cell in column] for value in values]).reshape(len(values), len(column))
    if not fits.any(1).all():
        bad = values[int(np.argmin(fits.any(1)))]
        raise UsageError(f"given[{name!r}] = {bad!r} occurs in no combination of {place.name} that was kept.")
    others = np.zeros((len(values), place.bins.size - len(column)), dtype=bool)
    allowed = np.column_stack([fits, others])
    if place.name in found.allowed:
        allowed &= found.allowed[place.name]
        if not allowed.any(1).all():
            raise UsageError(f"given= asks for a combination of {place.name} that rows at fit do not have.")
    found.allowed[place.name] = allowed


def _check_orders(coding: Coding, found: Given) -> None:
    for (low, high), least in coding.gaps.items():
        if low in found.numbers and high in found.numbers:
            strict = any(o.strict for o in coding.constraints.orders if (o.low, o.high) == (low, high))
            gap = found.numbers[high] - found.numbers[low]
            with np.errstate(invalid="ignore"):
                if ((gap < least) | (strict & (gap <= 0))).any():
                    raise UsageError(f"given= breaks the constraint {low} {'<' if strict else '<='} {high}.")
