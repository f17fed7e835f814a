"""Codes in CSV files, such as 01234: digits behind a leading zero, which only their text tells from the number 1234."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engram.data.cells import Array, is_plain

BLOCK = 1 << 24  # bytes that are looked at together
VALUES = 1 << 22  # cells that are read again together
CODE = r"\s*0\d+\s*"
AROUND = b'\r\n \t"'  # what may stand beside a cell, besides the sign between cells


def holds_codes(texts: pd.Series[Any]) -> bool:
    """Whether any cell of a column of texts is a code."""
    return bool(texts.astype("str").str.fullmatch(CODE, na=False).any())


def with_codes(frame: pd.DataFrame, content: Path | bytes, separator: str, parse: Callable[..., Any]) -> pd.DataFrame:
    """Return a parsed CSV file with the texts of columns that were taken for numbers and hold a code in any row.

    ``parse`` reads the file again with more settings: only the columns for which its bytes show codes.
    """
    numbers = [i for i, dtype in enumerate(frame.dtypes) if is_plain(dtype)]
    places = _places(content, separator, numbers, parse) if numbers else []
    if places:
        texts = parse(usecols=places, dtype=str)
        for place, name in zip(places, texts.columns, strict=True):
            if holds_codes(texts[name]):
                frame[frame.columns[place]] = texts[name].str.strip()
    return frame


def _places(content: Path | bytes, separator: str, numbers: list[int], parse: Callable[..., Any]) -> list[int]:
    """Return which of these columns may hold codes; where cells are quoted, rows have to be parsed to know."""
    shown: set[int] = set()
    for block in blocks(content):
        zeros = _zeros(block, separator)
        if len(zeros) and (block == ord('"')).any():
            return _parsed_places(numbers, parse)
        if len(zeros):
            shown.update(np.unique(_columns(block, separator, zeros)).tolist())
    return [place for place in numbers if place in shown]


def _parsed_places(numbers: list[int], parse: Callable[..., Any]) -> list[int]:
    """Return which of these columns hold a code, reading some rows after the other until all are known."""
    found: set[int] = set()
    with parse(usecols=numbers, dtype=str, chunksize=max(1000, VALUES // len(numbers))) as chunks:
        for chunk in chunks:
            cells = zip(numbers, chunk, strict=True)
            found.update(place for place, name in cells if place not in found and holds_codes(chunk[name]))
            if len(found) == len(numbers):
                break
    return sorted(found)


def blocks(content: Path | bytes) -> Iterator[Array]:
    """Yield the bytes of a file, some whole lines after the other, with an end of a line before and behind."""
    with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as file:
        rest = b""
        while block := file.read(BLOCK):
            cut = max(block.rfind(b"\n"), block.rfind(b"\r")) + 1
            if cut:
                yield np.frombuffer(b"\n" + rest + block[:cut], dtype=np.uint8)
            rest = block[cut:] if cut else rest + block
        yield np.frombuffer(b"\n" + rest + b"\n", dtype=np.uint8)


def _zeros(block: Array, separator: str) -> Array:
    """Return where cells, or words within a text, begin that look like codes."""
    digit = (block >= ord("0")) & (block <= ord("9"))
    beside = np.zeros(256, dtype=bool)
    beside[[*AROUND, ord(separator), 0xBF]] = True  # the last is the end of a mark of byte order
    zeros = np.flatnonzero((block[1:-1] == ord("0")) & digit[2:]) + 1
    zeros = zeros[beside[block[zeros - 1]]]
    if not len(zeros):
        return zeros
    ends = np.flatnonzero(~digit)
    return zeros[beside[block[ends[np.searchsorted(ends, zeros)]]]]


def _columns(block: Array, separator: str, places: Array) -> Array:
    """Return the number of the column that these places are in, of lines without quotes."""
    line_ends = (block == ord("\n")) | (block == ord("\r"))
    ends = np.flatnonzero(line_ends | (block == ord(separator)))  # of cells
    last = np.maximum.accumulate(np.where(line_ends[ends], np.arange(len(ends)), 0))
    before = np.searchsorted(ends, places) - 1
    return np.asarray(before - last[before])
