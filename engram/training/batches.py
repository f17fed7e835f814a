"""Batches of rows that lie in memory: a permutation that depends on (seed, epoch) alone, gathered in large pieces."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from engram.data.rows import Rows

PIECE = 1 << 22  # values gathered at once: one large copy is cheaper than many small ones, and stays in the cache


@dataclass(slots=True)
class Batch:
    """Some rows on their way through a turn.

    Parameters
    ----------
    x : Tensor
        (rows, ...) clean encoded rows.
    mask, y, weight : Tensor or None
        As in `Rows`.
    index : Tensor
        (rows,) numbers of the rows.
    progress : float
        Share of training that is done, 0 to 1; 1 outside training.
    generator : torch.Generator or None
        The source of noise outside training; None inside, where torch's own is seeded.
    step : int
        The number of the step; 0 outside training.
    """

    x: Tensor
    mask: Tensor | None = None
    y: Tensor | None = None
    weight: Tensor | None = None
    index: Tensor | None = None
    progress: float = 1.0
    generator: torch.Generator | None = None
    step: int = 0

    def __len__(self) -> int:
        return len(self.x)

    @property
    def given(self) -> tuple[Tensor, ...]:
        """What a network takes beside its input: y of a conditional model, nothing of others; ``net(x, *batch.given)``."""
        return () if self.y is None else (self.y,)


class Batches:
    """Rows cut into batches of nearly equal size, none larger than ``size``, in a new order every epoch.

    Parameters
    ----------
    rows : Rows
        All rows, on the device that trains.
    size : int
        The most rows in a batch.
    seed : int
        With the number of the epoch it fixes the order.
    """

    def __init__(self, rows: Rows, size: int, seed: int) -> None:
        self.rows, self.seed = rows, seed
        self.n_rows = len(rows)
        self.per_epoch = max(1, math.ceil(len(rows) / size))
        values = max(1, rows.x[0].numel())
        self._together = max(1, PIECE // (values * max(1, len(rows) // self.per_epoch)))

    def order(self, epoch: int) -> Tensor:
        """Return the permutation of an epoch."""
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + epoch) % (1 << 62))
        return torch.randperm(len(self.rows), generator=generator).to(self.rows.x.device)

    def epoch(self, epoch: int, skip: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, from number ``skip`` on.

        Each lies where it would without ``skip``: a product of matrices may differ in the last bit with where a row begins in memory.
        """
        numbers = self.order(epoch).tensor_split(self.per_epoch)
        for first in range(skip - skip % self._together, self.per_epoch, self._together):
            some = numbers[first : first + self._together]
            sizes = [len(n) for n in some]
            piece = self.rows.take(torch.cat(some))
            columns = [
                torch.split(piece.x, sizes),
                *(self._split(t, sizes) for t in (piece.mask, piece.y, piece.weight)),
            ]
            batches = zip(*columns, some, strict=True)
            for x, mask, y, weight, index in islice(batches, max(0, skip - first), None):
                yield Batch(x, mask, y, weight, index)

    @staticmethod
    def _split(values: Tensor | None, sizes: list[int]) -> tuple[Tensor | None, ...]:
        return (None,) * len(sizes) if values is None else torch.split(values, sizes)
