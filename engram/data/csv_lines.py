"""Lines of CSV files: what stands between cells, what is no row, and rows that are too short."""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from engram.data.cells import Array
from engram.data.codes import blocks
from engram.data.picture_places import MOST_BYTES, MOST_RATIO
from engram.errors import DataError

SIGNS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}  # that may stand between cells
TOLD = re.compile(rb'(?:\xef\xbb\xbf)?"?sep=([^\r\n])"?\r?\n', re.IGNORECASE)  # how Excel is told of the sign
SHOWN = 60  # letters of a line that a message shows


def separator_of(head: bytes) -> tuple[str, int]:
    """Return the sign between cells, and how many lines stand before the rows: ``sep=;`` says it, or the first line has most of it."""
    told = TOLD.match(head)
    if told and told[1].decode("latin-1") in SIGNS:
        return told[1].decode(), 1
    first = head.lstrip().partition(b"\n")[0]
    return max(SIGNS, key=lambda sign: first.count(sign.encode())), 0


def understood(head: bytes, separator: str, names: int) -> str:
    """Say how the first line was read, for messages of rows that do not fit to it."""
    lines = head.lstrip().decode("utf-8", "replace").splitlines()
    first = lines[0][:SHOWN] if lines else ""
    return (
        f" (its first line {first!r} was read as {names} name{'s' * (names != 1)} with {SIGNS[separator]} between them)"
    )


def unpacked(path: Path) -> bytes:
    """Return what a .gz file holds; raise `DataError` where a small one unpacks to gigabytes."""
    most = max(MOST_BYTES, MOST_RATIO * path.stat().st_size)
    with gzip.open(path) as file:
        found = file.read(most + 1)
    if len(found) > most:
        raise DataError(
            f"{path.name!r} unpacks to more than {MOST_RATIO} times its size, so it is not read. Unpack it."
        )
    return found


def short_rows(content: Path | bytes, separator: str, cells: int, before: int) -> int:
    """Return how many rows have fewer than so many cells; ``before`` lines are none."""
    found = 0
    for block in blocks(content):
        if (block == ord('"')).any():  # signs and ends of lines may stand within cells
            return sum(0 < n < cells for n in _lengths(content, separator, before))
        found += _short_lines(block, separator, cells)
    return found - before * (cells > 2)  # a line that tells the sign has it once


def _short_lines(block: Array, separator: str, cells: int) -> int:
    """Return how many lines that are not empty have too few signs, of a block with ends of lines around it."""
    ends = np.flatnonzero((block == ord("\n")) | (block == ord("\r")))
    signs = np.flatnonzero(block == ord(separator))
    within = np.diff(np.searchsorted(signs, ends))
    short = np.flatnonzero((np.diff(ends) > 1) & (within < cells - 1))
    return sum(bool(within[i]) or bool((block[ends[i] : ends[i + 1]] > ord(" ")).any()) for i in short)


def _lengths(content: Path | bytes, separator: str, before: int) -> Iterator[int]:
    """Yield how many cells each line has; a line without any text has none."""
    text = io.TextIOWrapper(
        io.BytesIO(content) if isinstance(content, bytes) else content.open("rb"), "utf-8", "replace", newline=""
    )
    with text:
        for _ in range(before):
            next(text)
        for row in csv.reader(text, delimiter=separator, skipinitialspace=separator != "\t"):
            yield len(row)
