"""Keys and free texts of generated rows: new ones that look like those at fit, of which none is kept."""

from __future__ import annotations

import string
from typing import Any

import numpy as np
import pandas as pd

from engram.data.cells import Array, plain_cells
from engram.data.columns import Column
from engram.data.dtypes import NO_DTYPE, dtype_of

LONGEST = 40  # letters of a key whose shape is kept
SHARE = 0.9  # of the keys that must have a letter at a place for it to be kept there, if they are rows enough
ALPHABETS = {"9": string.digits, "A": string.ascii_uppercase, "a": string.ascii_lowercase}
LARGEST = 1 << 62  # a number that 64 bits hold with room above it
FEW = 10**6  # numbers that there must be room for below those at fit, where above there is none
ROOM = 100  # keys that a shape can make for each one that is asked for, so that hardly any is one of the table's


def shape_of(column: Column, series: pd.Series[Any], least: int) -> dict[str, Any]:
    """Return what is kept of a column of keys or texts: for numbers where new ones begin, for texts the shape of most of them.

    A place of the shape is one of ``9`` (a digit), ``A`` and ``a`` (letters), or "=" and a sign that at least nine of ten keys, and at
    least ``least``, have there.
    """
    present = plain_cells(series.dropna())
    if column.type == "text":
        return {"start": 0, "shape": []}
    if pd.api.types.is_numeric_dtype(series.dtype):
        whole = [abs(int(number)) for number in present]
        return {"start": _beginning(min(whole, default=1), max(whole, default=1)), "shape": []}
    texts = [str(cell) for cell in present]
    lengths = pd.Series([len(text) for text in texts])
    length = int(lengths.mode().iloc[0]) if len(lengths) else 0
    if not 0 < length <= LONGEST:
        return {"start": 0, "shape": []}
    same = np.array([list(text) for text in texts if len(text) == length])
    return {"start": 0, "shape": [_place(same[:, i], least) for i in range(length)]}


def _beginning(low: int, high: int) -> int:
    """Return a power of ten from which on numbers are none of those at fit: above all, or below all where those would be too large."""
    above: int = 10 ** len(str(high))
    below: int = 10 ** max(len(str(low)) - 2, 0)
    return below if above > LARGEST and below >= FEW else above


def _place(letters: Array, least: int) -> str:
    different, counts = np.unique(letters, return_counts=True)
    top = int(counts.argmax())
    if counts[top] >= max(least, SHARE * len(letters)):
        return "=" + str(different[top])
    sorts = [("9" if d.isdigit() else "A" if d.isupper() else "a") for d in different if d.isalnum()]
    return max(ALPHABETS, key=sorts.count)


def renewed(column: Column, shape: dict[str, Any], n: int, random: np.random.Generator) -> pd.Series[Any]:
    """Return n new cells, all different: numbers above those at fit, texts of the shape, or the column's name with a number."""
    cells = _made(column, shape, n, random)
    try:
        found: pd.Series[Any] = pd.Series(cells, name=column.name, dtype=dtype_of(column.dtype))
    except (*NO_DTYPE, OverflowError):
        return pd.Series(cells, name=column.name)
    return found


def _made(column: Column, shape: dict[str, Any], n: int, random: np.random.Generator) -> Any:
    if shape["start"]:
        return list(range(shape["start"], shape["start"] + n))
    places = shape["shape"]
    room = float(np.prod([len(ALPHABETS.get(p, " ")) for p in places])) if places else 0.0
    if room < ROOM * n:
        return [f"{column.name} {i}" for i in range(1, n + 1)]
    found: dict[str, None] = {}
    while len(found) < n:
        letters = [
            np.array(list(ALPHABETS[p]))[random.integers(len(ALPHABETS[p]), size=n)]
            if p in ALPHABETS
            else np.repeat(p[1:], n)
            for p in places
        ]
        found |= dict.fromkeys("".join(row) for row in zip(*letters, strict=True))
    return list(found)[:n]
