"""Rows that do not fit into memory: read as they are needed and never all at once, such as those of a Parquet file."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from engram.errors import DataError, UsageError

STREAMED_FROM = 256 << 20  # bytes: files whose rows take more in memory are streamed
CHUNK = 1 << 16  # rows decoded at once
SAMPLE = 100_000  # most rows that types, scales and starts are found out from
VALUES = 1 << 25  # ... and most values, where that leaves enough rows
GROUPS = 64  # most row groups that a sample is drawn from
BUFFER = 1 << 20  # bytes of a column that are read at once
FOOTER = 8  # bytes at the end of a Parquet file: the length of what stands before them, and a mark
NOTHING = np.zeros(0, dtype=np.int64)
Numbers = np.ndarray[Any, np.dtype[np.int64]]


class Stream(ABC):
    """Rows in order, some of them left out; slices and samples of them are rows as a kind takes them.

    A row's number is its place in what is streamed, whatever is left out.
    """

    excluded: Numbers  # sorted numbers of the rows that are left out
    shape: tuple[int, ...]  # rows that are there, and the shape of a row
    fewest = 1000  # rows of a sample, however long they are

    def __len__(self) -> int:
        return self.shape[0]

    @abstractmethod
    def without(self, rows: Numbers) -> Self:
        """Return the stream without the rows of these numbers."""

    @abstractmethod
    def take(self, numbers: Numbers) -> Any:
        """Return the rows of these sorted numbers."""

    @abstractmethod
    def __getitem__(self, rows: slice) -> Any:
        """Return the rows of a slice, counted without those that are left out."""

    @abstractmethod
    def digest(self) -> str:
        """Return what tells these rows from others, found out without reading all of them."""

    @abstractmethod
    def pool(self, rng: np.random.Generator) -> Numbers:
        """Return the numbers that a sample may be drawn from."""

    def sample(self, n: int | None = None, seed: int = 0) -> tuple[Numbers, Any]:
        """Return (row numbers, rows) of at most n rows, the same ones for the same seed; without n, as many as tell about all."""
        rng = np.random.default_rng(seed)
        pool = self.pool(rng)
        pool = pool[np.isin(pool, self.excluded, invert=True)] if len(self.excluded) else pool
        n = self.enough() if n is None else n
        numbers = np.sort(rng.choice(pool, min(n, len(pool)), replace=False))
        return numbers, self.take(numbers)

    def numbers(self, places: Numbers) -> Numbers:
        """Return the numbers of the rows at these places among those that are there."""
        before = self.excluded - np.arange(len(self.excluded))  # how many that are there stand before each one left out
        return places + np.searchsorted(before, places, side="right")

    def enough(self) -> int:
        """Return how many rows types, scales and starts are found out from."""
        return min(SAMPLE, max(self.fewest, VALUES // max(1, int(np.prod(self.shape[1:])))))


def some(raw: Any) -> Any:
    """Return rows as they are, and of a stream its sample: for what has to look at all its rows at once."""
    return raw.sample()[1] if isinstance(raw, Stream) else raw


class RowStream(Stream):
    """The rows of a Parquet file, in order; slices, samples and chunks of them are DataFrames with the rows' numbers.

    Parameters
    ----------
    path : Path
        The file.
    dropped : set of str
        Columns to leave out.
    excluded : array of int, optional
        Sorted numbers of rows to leave out.
    """

    def __init__(self, path: Path, dropped: frozenset[str] = frozenset(), excluded: Numbers = NOTHING) -> None:
        self.path, self.dropped, self.excluded = path, dropped, excluded
        try:
            self._file = pq.ParquetFile(path, buffer_size=BUFFER)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise DataError(
                f"{path.name!r} cannot be read: {str(error).partition(chr(10))[0]}. Is it damaged?"
            ) from None
        metadata = self._file.metadata
        sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self.columns = [name for name in self._file.schema_arrow.names if name not in dropped]
        self.shape = int(self._starts[-1]) - len(excluded), len(self.columns)
        self._next: tuple[int, Iterator[pd.DataFrame], pd.DataFrame] | None = None

    def drop(self, *, columns: str) -> RowStream:
        """Return the stream without a column."""
        return RowStream(self.path, self.dropped | {columns}, self.excluded)

    def only(self, column: str) -> RowStream:
        """Return the stream of one column."""
        return RowStream(self.path, frozenset(self._file.schema_arrow.names) - {column}, self.excluded)

    def without(self, rows: Numbers) -> RowStream:
        return RowStream(self.path, self.dropped, np.union1d(self.excluded, rows))

    def typed(self, frame: pd.DataFrame, column: str) -> Any:
        """Return a column of some rows in the file's own type, which does not depend on which cells of it are missing."""
        kind = self._file.schema_arrow.field(column).type
        values = frame[column]
        if pa.types.is_dictionary(kind):
            kind, values = kind.value_type, values.astype(object)
        return values.astype(pd.ArrowDtype(kind)).array

    def digest(self) -> str:
        with self.path.open("rb") as file:
            file.seek(-FOOTER, 2)
            length = int.from_bytes(file.read(FOOTER)[:4], "little")
            file.seek(
                -FOOTER - length, 2
            )  # the table of contents: where columns lie, how long they are, their extremes
            return hashlib.sha256(file.read(length)).hexdigest()

    def __getitem__(self, rows: slice) -> pd.DataFrame:
        if not isinstance(rows, slice):
            raise UsageError(f"a streamed table is indexed by a slice, not by {type(rows).__name__}.")
        return self._slice(*rows.indices(len(self))[:2])

    def chunks(self, groups: list[int] | None = None) -> Iterator[tuple[Numbers, pd.DataFrame]]:
        """Yield (row numbers, rows) piece by piece, row group after row group in the order given; excluded rows are left out."""
        for group in range(len(self._starts) - 1) if groups is None else groups:
            at = int(self._starts[group])
            for batch in self._file.iter_batches(CHUNK, row_groups=[group], columns=self.columns, use_threads=False):
                frame = batch.to_pandas()
                numbers = np.arange(at, at + len(frame))
                frame.index = pd.Index(numbers)  # messages name the row of the file
                at += len(frame)
                low, high = np.searchsorted(self.excluded, [numbers[0], at])
                if high > low:
                    kept = np.isin(numbers, self.excluded[low:high], invert=True)
                    numbers, frame = numbers[kept], frame[kept]
                if len(frame):
                    yield numbers, frame

    def groups(self) -> int:
        """Return the number of row groups."""
        return len(self._starts) - 1

    def _slice(self, start: int, stop: int) -> pd.DataFrame:
        """Return rows from ``start`` to ``stop``; going on where the last slice ended costs nothing extra."""
        if self._next is None or self._next[0] != start:
            group = int(np.searchsorted(self._starts, self.numbers(np.array([start]))[0], side="right")) - 1
            at = int(self._starts[group] - np.searchsorted(self.excluded, self._starts[group]))
            chunks = self._frames(list(range(group, self.groups())))
            rest = pd.DataFrame(columns=self.columns)
            while at + len(rest) <= start and (at + len(rest)) < len(self):
                at, rest = at + len(rest), next(chunks)
            self._next = (start, chunks, rest.iloc[start - at :])
        _, chunks, rest = self._next
        parts = [rest] if len(rest) else []
        while sum(map(len, parts)) < stop - start:
            parts.append(next(chunks))
        joined = parts[0] if len(parts) == 1 else pd.concat(parts) if parts else rest
        self._next = (stop, chunks, joined.iloc[stop - start :])
        return joined.iloc[: stop - start]

    def _frames(self, groups: list[int]) -> Iterator[pd.DataFrame]:
        for _, frame in self.chunks(groups):
            yield frame

    def take(self, numbers: Numbers) -> pd.DataFrame:
        groups = np.unique(np.searchsorted(self._starts, numbers, side="right") - 1)  # only these are read
        parts = [frame[np.isin(own, numbers)] for own, frame in self.chunks([int(g) for g in groups])]
        return pd.concat([part for part in parts if len(part)])

    def pool(self, rng: np.random.Generator) -> Numbers:
        groups = np.sort(rng.permutation(self.groups())[:GROUPS])
        return np.concatenate([np.arange(self._starts[g], self._starts[g + 1]) for g in groups])


def streamed(path: Path) -> RowStream | None:
    """Return the stream of a Parquet file that is too large to be read at once, else None."""
    stream = RowStream(path)
    return stream if len(stream) * len(stream.columns) * 8 > STREAMED_FROM else None
