"""Batches of rows that are read as they are needed: of a file shuffled in a buffer of bounded size, of pictures one batch at a time."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from engram.data.picture_stream import PictureStream
from engram.data.rows import Rows, joined
from engram.data.stream import Numbers, RowStream, Stream
from engram.training.batches import Batch

BUFFER = 1 << 23  # encoded values that are shuffled together


class StreamBatches(ABC):
    """Batches of a stream; the order is a function of (seed, epoch) alone.

    Parameters
    ----------
    stream : Stream
        The rows to learn from.
    encode : callable
        From rows of the stream to `Rows`.
    size : int
        Rows in a batch.
    seed : int
        With the number of the epoch it fixes the order.
    device : torch.device
        Where batches go.
    """

    def __init__(
        self, stream: Stream, encode: Callable[[Any], Rows], size: int, seed: int, device: torch.device
    ) -> None:
        self.encode, self.size, self.seed, self.device = encode, size, seed, device
        self.per_epoch = max(1, math.ceil(len(stream) / size))
        self.n_rows = len(stream)

    @abstractmethod
    def epoch(self, epoch: int, skip: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, from number ``skip`` on."""

    @staticmethod
    def of(stream: Stream, *given: Any) -> StreamBatches:
        """Return the batches that suit a stream."""
        if isinstance(stream, PictureStream):
            return PictureBatches(stream, *given)
        if isinstance(stream, RowStream):
            return RowBatches(stream, *given)
        raise TypeError(f"no batches of a {type(stream).__name__}")


class RowBatches(StreamBatches):
    """Batches of a file's rows: row groups in a new order every epoch, and rows shuffled in a buffer."""

    def __init__(self, stream: RowStream, *given: Any) -> None:
        super().__init__(stream, *given)
        self.stream = stream

    def epoch(self, epoch: int, skip: int = 0) -> Iterator[Batch]:
        rng = np.random.default_rng([self.seed, epoch])
        done = 0
        for numbers, rows in self._buffers(rng):
            order = torch.from_numpy(rng.permutation(len(rows)))
            for at in range(0, len(rows), self.size):
                done += 1
                if done <= skip:
                    continue
                index = order[at : at + self.size]
                piece = rows.take(index).to(self.device)
                yield Batch(piece.x, piece.mask, piece.y, piece.weight, torch.from_numpy(numbers)[index])

    def _buffers(self, rng: np.random.Generator) -> Iterator[tuple[Numbers, Rows]]:
        """Yield encoded pieces of whole batches, at most `BUFFER` values; what is left over begins the next one."""
        groups = [int(g) for g in rng.permutation(self.stream.groups())]
        numbers, rows = np.zeros(0, dtype=np.int64), None
        for own, frame in self.stream.chunks(groups):
            encoded = self.encode(frame)
            rows = encoded if rows is None else joined(rows, encoded)
            numbers = np.concatenate([numbers, own])
            if rows.x.numel() >= BUFFER:
                whole = len(rows) // self.size * self.size
                rest = torch.arange(whole, len(rows))
                yield numbers[:whole], rows.first(whole)
                numbers, rows = numbers[whole:], rows.take(rest)
        if rows is not None and len(rows):
            yield numbers, rows


class PictureBatches(StreamBatches):
    """Batches of pictures, which are taken out of their array one batch at a time: in any order, at the same price."""

    def __init__(self, stream: PictureStream, *given: Any) -> None:
        super().__init__(stream, *given)
        self.stream = stream

    def epoch(self, epoch: int, skip: int = 0) -> Iterator[Batch]:
        numbers = self.stream.shuffled(np.random.default_rng([self.seed, epoch]))
        for at in range(skip * self.size, len(numbers), self.size):
            index = numbers[at : at + self.size]
            rows = self.encode(self.stream.take(index)).to(self.device)
            yield Batch(rows.x, index=torch.from_numpy(index))
