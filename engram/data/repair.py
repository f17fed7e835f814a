"""Filling the missing cells of the user's own rows; all other cells stay as they are, to the bit."""

from __future__ import annotations

import warnings
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd

from engram.data.cells import Array, may_hold_texts, plain, plain_cells
from engram.data.columns import Column, numbers_in, without_marks
from engram.data.dtypes import NO_DTYPE


def filled(opened: Array | pd.DataFrame, decoded: Array | pd.DataFrame, fields: list[Column]) -> Any:
    """Return a copy of a table with missing cells taken from decoded rows, in the form it was given in."""
    if isinstance(opened, np.ndarray) and isinstance(decoded, np.ndarray):
        return np.where(np.isnan(opened), decoded.astype(opened.dtype), opened)
    names, of_array = [c.name for c in fields], isinstance(decoded, np.ndarray)
    found = pd.DataFrame(decoded, columns=names) if isinstance(decoded, np.ndarray) else decoded
    if isinstance(opened, np.ndarray):
        return filled_frame(pd.DataFrame(opened, columns=names), found, fields).to_numpy()
    return filled_frame(opened, found.set_axis(opened.columns, axis=1) if of_array else found, fields)


def filled_frame(frame: pd.DataFrame, decoded: pd.DataFrame, fields: list[Column]) -> pd.DataFrame:
    """Return a frame of the same index, names and columns; keys and dropped columns keep their holes."""
    result = frame.copy(deep=False)
    for name, c in zip([_name(c, decoded) for c in fields], fields, strict=True):
        if name not in result.columns or name not in decoded.columns or c.type == "empty":
            continue
        holes = _holes(c, frame[name])
        if holes.any():
            result[name] = _put(frame[name], holes, decoded[name])
    return result


def _name(c: Column, decoded: pd.DataFrame) -> Any:
    """Return what the column is called in the decoded rows; an array's columns are called as the frame's are."""
    return c.name if c.name in decoded.columns or not isinstance(c.name, int) else decoded.columns[c.name]


def _holes(c: Column, series: pd.Series[Any]) -> Array:
    """Return where cells are missing, or say so with a mark, or are a stray text among numbers or dates."""
    missing = series.isna().to_numpy()
    if not may_hold_texts(series) or c.type == "constant":
        return missing
    if c.type == "category":
        return np.asarray(without_marks(plain_cells(series), {}).isna().to_numpy())
    return np.asarray(np.isnan(numbers_in(c, series, {})))


def _put(series: pd.Series[Any], holes: Array, values: pd.Series[Any]) -> pd.Series[Any]:
    """Return the column with its holes filled, in its own dtype where that can hold the values."""
    new: Any = values.to_numpy(dtype=object)[holes]
    if isinstance(series.dtype, pd.CategoricalDtype):
        own = {plain(category): category for category in series.cat.categories}
        new = [own.get(plain(value), np.nan) for value in new]
    else:
        with suppress(*NO_DTYPE):
            new = values[holes].astype(series.dtype).to_numpy()
    filled = series.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # pandas 2 only warns where it changes the dtype
        try:
            filled.iloc[np.flatnonzero(holes)] = new
        except (*NO_DTYPE, Warning):
            filled = series.astype(object)
            filled.iloc[np.flatnonzero(holes)] = values.to_numpy(dtype=object)[holes]
    return filled
