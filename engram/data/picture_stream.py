"""Pictures that do not fit into memory as numbers of a network: they stay where they are, and some at a time are taken out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from engram.data.stream import NOTHING, Numbers, Stream

STREAMED_FROM = 1 << 26  # values: 256 MiB once they are float32
TOGETHER = 1 << 16  # values that are read together: long enough for a disk, short enough to mix well
CHUNK = 1 << 22  # values in a chunk
LOOKED_AT = 64  # pictures that tell an array from another
Pixels = np.ndarray[Any, np.dtype[Any]]


class PictureStream(Stream):
    """Pictures of an array in the type they have there: of a mapped file only what is looked at is read.

    Parameters
    ----------
    array : array
        (rows, height, width[, channels]).
    excluded : array of int, optional
        Sorted numbers of pictures to leave out.
    """

    fewest = 128  # of 512 x 512 pixels in colour they take 400 MB as float32

    def __init__(self, array: Pixels, excluded: Numbers = NOTHING) -> None:
        self.array, self.excluded, self.dtype = array, excluded, array.dtype
        self.shape = (len(array) - len(excluded), *array.shape[1:])
        self._values = max(1, int(np.prod(array.shape[1:])))
        self._together = max(1, TOGETHER // self._values)

    def without(self, rows: Numbers) -> PictureStream:
        return PictureStream(self.array, np.union1d(self.excluded, rows))

    def groups(self) -> int:
        return -(-len(self.array) // self._together)

    def chunks(self, groups: list[int] | None = None) -> Iterator[tuple[Numbers, Pixels]]:
        chosen = np.arange(self.groups()) if groups is None else np.asarray(groups, dtype=np.int64)
        many = max(1, CHUNK // (self._values * self._together))
        for at in range(0, len(chosen), many):
            starts = chosen[at : at + many, None] * self._together
            numbers = (starts + np.arange(self._together)).ravel()
            numbers = numbers[(numbers < len(self.array)) & np.isin(numbers, self.excluded, invert=True)]
            if len(numbers):
                yield numbers, self.take(numbers)

    def take(self, numbers: Numbers) -> Pixels:
        return np.asarray(self.array[numbers])

    def __getitem__(self, rows: slice) -> Pixels:
        return self.take(self.numbers(np.arange(*rows.indices(len(self)))))

    def digest(self) -> str:
        found = hashlib.sha256(repr((self.array.shape, str(self.dtype), self.excluded.tolist())).encode())
        found.update(self.take(np.linspace(0, len(self.array) - 1, LOOKED_AT).astype(np.int64)).tobytes())
        return found.hexdigest()

    def pool(self, rng: np.random.Generator) -> Numbers:
        return np.arange(len(self.array))


def streamed_pictures(raw: Any) -> Any:
    """Return a large array of pictures as a stream, and all else as it is."""
    large = isinstance(raw, np.ndarray) and raw.ndim in (3, 4) and raw.size > STREAMED_FROM
    return PictureStream(raw) if large else raw
