"""Keys and free texts of generated rows: new ones that look like those at fit, of which none is kept."""

from __future__ import annotations

import math
import re
import string
from typing import Any

import numpy as np
import pandas as pd

from engram.data.cells import Array, plain_cells
from engram.data.columns import Column
from engram.data.dtypes import NO_DTYPE, dtype_of

LONGEST = 40  # letters of a key whose shape is kept
MOST = 2 * LONGEST  # ... and of a new one
SHARE = 0.9  # of the keys that must have a letter at a place for it to be kept there, if they are rows enough
ALPHABETS = {"9": string.digits, "A": string.ascii_uppercase, "a": string.ascii_lowercase, "1": "123456789"}
LARGEST = 1 << 62  # a number that 64 bits hold with room above it
BELOW = (
    10**10
)  # numbers that there must be room for below those at fit, where above there is none: more than memory has rows
CHANCE = 1e-9  # that any of as many new keys as there were at fit is one of these, up to which they keep the length
ROOM = 10  # keys that longer ones must be able to make for each at fit, so that their length is the same for few and for many rows


def shape_of(column: Column, series: pd.Series[Any], least: int) -> dict[str, Any]:
    """Return what is kept of a column of keys or texts: for numbers where new ones begin, for texts the shape of most of them.

    A place of the shape is one of ``9`` (a digit), ``A`` and ``a`` (letters), or "=" and a sign that at least nine of ten keys, and at
    least ``least``, have there. Beside it are the lengths of longer keys, and from which number on
    the column's name with a number is no cell.
    """
    present = plain_cells(series.dropna())
    if column.type != "text" and pd.api.types.is_numeric_dtype(series.dtype):
        whole = [abs(int(number)) for number in present]
        return {"start": _beginning(min(whole, default=1), max(whole, default=1)), "shape": []}
    texts = [str(cell) for cell in present]
    found: dict[str, Any] = {"start": 0, "shape": [], "named": _named(column, texts)}
    lengths = pd.Series([len(text) for text in texts])
    length = int(lengths.mode().iloc[0]) if len(lengths) else 0
    if column.type == "text" or not 0 < length <= LONGEST:
        return found
    same = np.array([list(text) for text in texts if len(text) == length])
    longer = sorted({int(n) for n in lengths if length < n <= MOST})
    return found | {"shape": [_place(same[:, i], least) for i in range(length)], "longer": longer}


def _named(column: Column, texts: list[str]) -> int:
    """Return from which number on the column's name with a number is none of the texts: 1, or a power of ten above all."""
    of_name = re.compile(rf"{re.escape(str(column.name))} (\d{{1,{LONGEST}}})")
    return int(10 ** max((len(found[1]) for text in texts if (found := of_name.fullmatch(text))), default=0))


def _beginning(low: int, high: int) -> int:
    """Return a power of ten from which on numbers are none of those at fit: above all, or below all where those would be too large.

    Below it is the largest with room for `BELOW` ones under the smallest number, so that new ones have as many digits where they can.
    """
    above: int = 10 ** len(str(high))
    below: int = 10 ** max(len(str(low)) - 1, 0)
    below = below if low - below >= BELOW else below // 10
    return below if above > LARGEST and below >= BELOW else above


def _place(letters: Array, least: int) -> str:
    different, counts = np.unique(letters, return_counts=True)
    top = int(counts.argmax())
    if counts[top] >= max(least, SHARE * len(letters)):
        return "=" + str(different[top])
    sorts = [("9" if d.isdigit() else "A" if d.isupper() else "a") for d in different if d.isalnum()]
    return max(ALPHABETS, key=sorts.count)


def renewed(column: Column, shape: dict[str, Any], n: int, known: int, random: np.random.Generator) -> pd.Series[Any]:
    """Return n new cells, all different and none of the ``known`` ones at fit.

    Numbers lie beyond those at fit. Texts have the shape of most of them where so many signs are open that none can be met by chance;
    otherwise they are longer, of a length that no key has, and where there is no such shape the column's name with a number.
    """
    cells = _made(column, shape, n, known, random)
    try:
        found: pd.Series[Any] = pd.Series(cells, name=column.name, dtype=dtype_of(column.dtype))
    except (*NO_DTYPE, OverflowError):
        return pd.Series(cells, name=column.name)
    return found


def _made(column: Column, shape: dict[str, Any], n: int, known: int, random: np.random.Generator) -> Any:
    if shape["start"]:
        return list(range(shape["start"], shape["start"] + n))
    places = shape["shape"]
    if max(n, known) ** 2 > CHANCE * _room(places):
        places = _longer(places, set(shape.get("longer", ())), max(2 * n, ROOM * known))
    if not places:
        first = shape.get("named", 1)
        return [f"{column.name} {i}" for i in range(first, first + n)]
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


def _room(places: list[str]) -> int:
    """Return how many keys have the shape."""
    return math.prod(len(ALPHABETS.get(place, " ")) for place in places)


def _longer(places: list[str], taken: set[int], room: int) -> list[str]:
    """Return the shape with more digits (or letters) where it has most open ones, in a length that is not taken; [] where there is none.

    What comes first of them is no zero, so that read as numbers such keys are larger than those of the shape, too.
    """
    at = _open_run(places)
    if at is None:
        return []
    sort = "9" if _is_digit(places[at]) else places[at]
    more = ["1" if sort == "9" else sort]
    while len(places) + len(more) in taken or _room(places) * _room(more) < room:
        more.append(sort)
    return [*places[:at], *more, *places[at:]] if len(places) + len(more) <= MOST else []


def _open_run(places: list[str]) -> int | None:
    """Return where the run of digits begins that has most open ones, the last of several; without such, the first open letter."""
    best: int | None = None
    most = first = 0
    for i in range(len(places)):
        if not _is_digit(places[i]):
            first = i + 1
        elif (count := places[first : i + 1].count("9")) and count >= most:
            best, most = first, count
    return best if best is not None else next((i for i, place in enumerate(places) if place in ALPHABETS), None)


def _is_digit(place: str) -> bool:
    return place == "9" or (place[0] == "=" and place[1:] in ALPHABETS["9"])
