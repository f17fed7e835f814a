"""Pictures that do not fit into memory as numbers of a network: they stay where they are, and some at a time are taken out."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from engram.data.stream import NOTHING, Numbers, Stream

STREAMED_FROM = 1 << 26  # values: 256 MiB once they are float32
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

    def without(self, rows: Numbers) -> PictureStream:
        return PictureStream(self.array, np.union1d(self.excluded, rows))

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

    def shuffled(self, rng: np.random.Generator) -> Numbers:
        """Return the numbers of all pictures in a new order."""
        return rng.permutation(np.delete(np.arange(len(self.array)), self.excluded))


def streamed_pictures(raw: Any) -> Any:
    """Return a large array of pictures as a stream, and all else as it is."""
    large = isinstance(raw, np.ndarray) and raw.ndim in (3, 4) and raw.size > STREAMED_FROM
    return PictureStream(raw) if large else raw
