"""Tables that do not fit into memory: rows of a Parquet file, read as they are needed and never all at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from engram.errors import DataError, UsageError

STREAMED_FROM = 256 << 20  # bytes: files whose rows take more in memory are streamed
CHUNK = 1 << 16  # rows decoded at once
SAMPLE = 100_000  # rows that types, scales and starts are found out from
GROUPS = 64  # most row groups that a sample is drawn from
Numbers = np.ndarray[Any, np.dtype[np.int64]]


class RowStream:
    """The rows of a Parquet file, in order; slices, samples and chunks of them are DataFrames.

    Parameters
    ----------
    path : Path
        The file.
    dropped : set of str
        Columns to leave out.
    excluded : array of int, optional
        Sorted numbers of rows to leave out.
    """

    def __init__(self, path: Path, dropped: frozenset[str] = frozenset(), excluded: Numbers | None = None) -> None:
        self.path, self.dropped = path, dropped
        self.excluded = np.zeros(0, dtype=np.int64) if excluded is None else excluded
        try:
            self._file = pq.ParquetFile(path)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise DataError(
                f"{path.name!r} cannot be read: {str(error).partition(chr(10))[0]}. Is it damaged?"
            ) from None
        metadata = self._file.metadata
        sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self.columns = [name for name in self._file.schema_arrow.names if name not in dropped]
        self._next: tuple[int, Iterator[pd.DataFrame], pd.DataFrame] | None = None

    def __len__(self) -> int:
        return int(self._starts[-1]) - len(self.excluded)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self), len(self.columns)

    def drop(self, *, columns: str) -> RowStream:
        """Return the stream without a column."""
        return RowStream(self.path, self.dropped | {columns}, self.excluded)

    def without(self, rows: Numbers) -> RowStream:
        """Return the stream without the rows of these numbers (of the file)."""
        return RowStream(self.path, self.dropped, np.union1d(self.excluded, rows))

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            return self._file.read(columns=[key]).to_pandas()[key]
        if isinstance(key, slice):
            return self._slice(*key.indices(len(self))[:2])
        raise UsageError(f"a streamed table is indexed by a column's name or a slice, not by {type(key).__name__}.")

    def chunks(self, groups: list[int] | None = None) -> Iterator[tuple[Numbers, pd.DataFrame]]:
        """Yield (row numbers, rows) piece by piece, row group after row group in the order given; excluded rows are left out."""
        for group in range(len(self._starts) - 1) if groups is None else groups:
            at = int(self._starts[group])
            for batch in self._file.iter_batches(CHUNK, row_groups=[group], columns=self.columns, use_threads=False):
                frame = batch.to_pandas()
                numbers = np.arange(at, at + len(frame))
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
            at, chunks = 0, self._frames()
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

    def _frames(self) -> Iterator[pd.DataFrame]:
        for _, frame in self.chunks():
            yield frame

    def take(self, numbers: Numbers) -> pd.DataFrame:
        """Return the rows of these sorted numbers (of the file); only the row groups that hold them are read."""
        groups = np.unique(np.searchsorted(self._starts, numbers, side="right") - 1)
        parts = [frame[np.isin(own, numbers)] for own, frame in self.chunks([int(g) for g in groups])]
        return pd.concat([part for part in parts if len(part)], ignore_index=True)

    def sample(self, n: int = SAMPLE) -> tuple[Numbers, pd.DataFrame]:
        """Return (row numbers, rows) of at most n rows, always the same ones, from at most `GROUPS` row groups."""
        rng = np.random.default_rng(0)
        groups = np.sort(rng.permutation(self.groups())[:GROUPS])
        pool = np.concatenate([np.arange(self._starts[g], self._starts[g + 1]) for g in groups])
        pool = pool[np.isin(pool, self.excluded, invert=True)] if len(self.excluded) else pool
        numbers = np.sort(rng.choice(pool, min(n, len(pool)), replace=False))
        return numbers, self.take(numbers)


def streamed(path: Path) -> RowStream | None:
    """Return the stream of a Parquet file that is too large to be read at once, else None."""
    stream = RowStream(path)
    return stream if len(stream) * len(stream.columns) * 8 > STREAMED_FROM else None
