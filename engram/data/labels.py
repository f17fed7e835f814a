"""Cells and names that JSON does not have, such as dates and intervals: as lists that it has, and read back."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from engram.data.cells import plain

Label = Any  # a text, number, flag or None as it is; of anything else a list that begins with its sort

READ: dict[str, Callable[..., Any]] = {
    "float": float,
    "decimal": Decimal,
    "date": datetime.date.fromisoformat,
    "time": datetime.time.fromisoformat,
    "datetime": datetime.datetime.fromisoformat,
    "timestamp": lambda text, unit, zone: _in_zone(pd.Timestamp(text), zone).as_unit(unit),
    "timedelta": lambda text, unit: pd.Timedelta(text).as_unit(unit),
    "period": lambda ordinal, step: pd.Period(ordinal=ordinal, freq=step),
    "interval": lambda left, right, closed: pd.Interval(read(left), read(right), closed),
    "tuple": lambda *parts: tuple(map(read, parts)),
}


# what is written of each sort; a sort of pandas stands before the one of Python that it is, too
WRITTEN: dict[type, Callable[[Any], list[Any]]] = {
    pd.Interval: lambda value: [written(value.left), written(value.right), value.closed],
    pd.Timestamp: lambda value: [value.isoformat(), value.unit, None if value.tz is None else str(value.tz)],
    pd.Timedelta: lambda value: [value.isoformat(), value.unit],
    pd.Period: lambda value: [value.ordinal, value.freqstr],
    tuple: lambda value: list(map(written, value)),
    float: lambda value: [str(value)],
    Decimal: lambda value: [str(value)],
    datetime.datetime: lambda value: [value.isoformat()],
    datetime.date: lambda value: [value.isoformat()],
    datetime.time: lambda value: [value.isoformat()],
}


def _in_zone(moment: Any, zone: str | None) -> Any:
    return moment if zone is None else moment.tz_convert(zone)


def written(value: Any) -> Label:
    """Return a value as JSON has it; raise `TypeError` for one of a sort that is not known."""
    value = value.item() if isinstance(value, np.generic) else value
    if value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    for sort, parts in WRITTEN.items():
        if isinstance(value, sort):
            return [sort.__name__.lower(), *parts(value)]
    raise TypeError(f"a {type(value).__name__} cannot be written")


def read(label: Label) -> Any:
    """Return the value that `written` wrote; raise `ValueError` for what it cannot have written."""
    if not isinstance(label, list):
        return label
    try:
        return READ[label[0]](*label[1:])
    except (KeyError, IndexError, TypeError, AttributeError, ArithmeticError) as error:
        raise ValueError(f"{label!r} is no label") from error


def labels(values: Iterable[Any]) -> dict[str, Label]:
    """Return those of different values that are not plain ones as they are written, by their text.

    Raises `ValueError` where one cannot be read back as it was, or two have the same text.
    """
    found: dict[str, Label] = {}
    texts: set[str] = set()
    for value in values:
        text = plain(value)
        if not isinstance(text, str):
            continue
        if text in texts:
            raise ValueError(f"two values are written {text!r}")
        texts.add(text)
        if isinstance(value, str):
            continue
        try:
            found[text] = written(value)
            same = _same(read(found[text]), value)
        except TypeError as error:
            raise ValueError(str(error)) from error
        if not same:
            raise ValueError(f"{text!r} would not be read back as it was")
    return found


def _same(a: Any, b: Any) -> bool:
    both_nan = isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b)
    return both_nan or bool(a == b)


def originals(names: Iterable[Any], known: dict[str, Label]) -> list[Any]:
    """Return what plain values stand for."""
    return [read(known[name]) if isinstance(name, str) and name in known else name for name in names]


# --- cells of a column ---


def keep_cells(form: dict[str, Any], cells: Iterable[Any]) -> None:
    """Keep in the form of a column what its different cells are where they are not plain: "cells", or "texts" where that cannot be."""
    try:
        known = labels(cells)
    except ValueError as error:
        form["texts"] = str(error)
        return
    if known:
        form["cells"] = known


def categories(form: dict[str, Any]) -> Any:
    """Return the categories of a form as pandas is to have them."""
    known = form.get("cells")
    return pd.Index(originals(form["categories"], known), tupleize_cols=False) if known else form["categories"]


def cells(form: dict[str, Any], found: Any) -> Any:
    """Return plain cells, (rows,), as what they stand for."""
    known = form.get("cells")
    if not known:
        return found
    codes, different = pd.factorize(np.asarray(found, dtype=object))
    values = np.empty(len(different) + 1, dtype=object)
    values[:-1] = [*originals(different.tolist(), known)]
    values[-1] = None
    return values[codes]


def told_as_texts(fields: Iterable[Any], names: dict[str, Any]) -> list[str]:
    """Say which columns have cells that come back as texts, and whether the names of columns do."""
    found = [
        f"cells of column {c.name!r} come back as texts: {c.form['texts']}"
        for c in fields
        if "texts" in c.form and c.type in ("category", "constant")
    ]
    return found + [f"names of columns come back as texts: {names[key]}" for key in ("texts",) if key in names]


# --- names of columns ---


def names_of(raw: Any) -> dict[str, Any]:
    """Return what the columns of a DataFrame are called where these are not plain names; empty for others."""
    columns = getattr(raw, "columns", None)
    if not isinstance(columns, pd.Index):
        return {}
    try:
        known = labels(columns)
        levels = [written(name) for name in columns.names]
    except (ValueError, TypeError) as error:
        return {"texts": str(error)}
    return {"names": known, "levels": levels} if known else {}


def with_names(frame: pd.DataFrame, known: dict[str, Any]) -> pd.DataFrame:
    """Return a frame of plain names with those that `names_of` found."""
    if "names" not in known:
        return frame
    names, levels = originals(frame.columns, known["names"]), [read(level) for level in known["levels"]]
    if len(levels) > 1:
        return frame.set_axis(pd.MultiIndex.from_tuples(names, names=levels), axis=1)
    index = pd.Index(names, tupleize_cols=False)
    return frame.set_axis(index.rename(levels[0]), axis=1)
