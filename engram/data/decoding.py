"""Bins and numbers back to a table: cells in the types and the style of the rows at fit, new keys, holes where they belong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from engram.data import labels
from engram.data.bins import Bins
from engram.data.cells import Array, plain_cells
from engram.data.coding import NUMBERS, OTHER, RENEWED, Coding, says_other
from engram.data.columns import Column, restored
from engram.data.dtypes import NO_DTYPE, dtype_of
from engram.data.renewed import renewed


def decoded(
    coding: Coding, bins: Mapping[str, Array], numbers: Mapping[str, Array], random: np.random.Generator
) -> pd.DataFrame:
    """Return rows as a DataFrame like that of the fit.

    Parameters
    ----------
    coding : Coding
        The fitted coding.
    bins : dict of array
        (rows,) the bin of each place by its name; those of places that do not vary may be left out.
    numbers : dict of array
        (rows,) the numbers of number columns and dates by name, NaN where missing.
    random : numpy Generator
        For new keys, and for what stands in the place of rare cells.
    """
    n = len(next(iter(bins.values())))
    joined = [place for place in coding.places if place.cells and place.is_own]
    bins = {**bins, **{p.name: _unpooled(p.bins, bins[p.name], random) for p in joined if p.name in bins}}
    series = {c.name: _column(coding, c, bins, numbers, n, random) for c in coding.fields if c.type != "drop"}
    return pd.DataFrame(series)


def _column(
    coding: Coding,
    c: Column,
    bins: Mapping[str, Array],
    numbers: Mapping[str, Array],
    n: int,
    random: np.random.Generator,
) -> pd.Series[Any]:
    name = str(c.name)
    if c.type == "empty":
        return as_given(c, [None] * n)
    place = coding.place_of(name)
    found = bins.get(place.name)
    found = np.full(n, int(np.argmax(place.bins.counts))) if found is None else found
    if c.type in RENEWED:
        new = renewed(c, coding.shapes[name], n, place.bins.counts[0], random)
        return _with_holes(new, place.bins.is_missing(found))
    if c.type == "constant":
        return _with_holes(_restored(c, np.full(n, c.values[0])), place.bins.is_missing(found))
    if place.cells:
        column = [cells[place.columns.index(name)] for cells in place.cells]
        cells = np.array(column, dtype=object)[found]
        gone = np.array([cell is None for cell in cells], dtype=bool)
        return _written(c, cells, gone)
    if c.type in NUMBERS:
        return _written(c, numbers[name], np.isnan(numbers[name]))
    gone = place.bins.is_missing(found)
    return _written(c, _categories(c, place.bins, found, random), gone)


def _categories(c: Column, bins: Bins, found: Array, random: np.random.Generator) -> Array:
    """Return the values of bins; a rare cell becomes `OTHER`, or where no text can stand, one of the kept values."""
    values = np.array([*bins.values, *([OTHER] if bins.pooled and says_other(c) else [])], dtype=object)
    if len(values) == len(bins.values):
        found = _unpooled(bins, found, random)
    cells: Array = values[np.minimum(found, len(values) - 1)]
    return cells


def _unpooled(bins: Bins, found: Array, random: np.random.Generator) -> Array:
    """Return bins with kept values drawn by frequency in the place of the bin for rare ones."""
    kept = len(bins.values)
    rare = (found >= kept) & ~bins.is_missing(found)
    shares = np.asarray(bins.counts[:kept], dtype=np.float64)
    drawn = random.choice(kept, size=len(found), p=shares / shares.sum())  # for all, so that rows do not hang together
    return np.minimum(np.where(rare, drawn, found), kept - 1)


def _written(c: Column, cells: Array, gone: Array) -> pd.Series[Any]:
    """Return cells in the dtype and style of the column, with holes."""
    if gone.all():
        return as_given(c, [None] * len(cells))
    stand_in = cells[int(np.argmin(gone))]
    filled = np.where(gone, stand_in, cells) if gone.any() else cells
    if c.type in NUMBERS:
        return _with_holes(written_numbers(c, filled.astype(np.float64)), gone)
    if c.type == "boolean":
        filled = filled.astype(bool)
    return _with_holes(_restored(c, filled), gone)


def written_numbers(c: Column, numbers: Array) -> pd.Series[Any]:
    """Return numbers or dates (seconds since 1970) as cells of the column, rounded as those at fit are."""
    return _restored(c, numbers if c.date is None else c.date.nearest(numbers))


def _restored(c: Column, cells: Array) -> pd.Series[Any]:
    return pd.Series(restored(c, cells), name=c.name).reset_index(drop=True)


def _with_holes(series: pd.Series[Any], gone: Array) -> pd.Series[Any]:
    return series.mask(pd.Series(gone)) if gone.any() else series


def as_given(c: Column, cells: list[Any]) -> pd.Series[Any]:
    """Return cells in the dtype of the column; as they are where it cannot hold them: a missing one, a text among numbers."""
    own: pd.Series[Any] = pd.Series(cells, name=c.name, dtype=object)
    gone = own.isna().to_numpy()
    plain = own if gone.all() else pd.Series(cells, name=c.name)
    try:
        dtype = dtype_of(c.dtype)
        if "categories" in c.form:
            known = plain_cells(own)[~gone].isin(c.form["categories"]).all()
            dtype = pd.CategoricalDtype(labels.categories(c.form), c.form["ordered"]) if known else None
        found: pd.Series[Any] = pd.Series(own.mask(gone, None).tolist(), name=c.name, dtype=dtype)
    except (*NO_DTYPE, OverflowError):
        return plain
    same = np.array_equal(found.isna(), gone) and found[~gone].tolist() == own[~gone].tolist()
    return found if same else plain
