"""Distances between many rows, a block at a time, and decided as if each had been computed from the differences.

Squared distances of a block come from one matrix product, |x|^2 + |y|^2 - 2 x.y of centred rows in float64. Its rounding error
has a bound, so a comparison is certain unless the two sides are nearer than that; the few others are decided by the distance
itself, sum((x - y)^2). All answers are therefore those of the plain double loop, ties included, whatever the size of a block.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engram.metrics.metric import Array

EPSILON = float(np.finfo(np.float64).eps)
BLOCK_VALUES = 1 << 22  # distances in a block: 32 MiB
DIRECT_VALUES = 1 << 20  # values of rows in one piece of plain distances


@dataclass(frozen=True, eq=False)
class Points:
    """Rows, and what makes products of them: centred rows and their squared norms.

    Parameters
    ----------
    rows : array
        As they were given, (rows, features).
    centred : array
        Less a common centre, float64.
    norms : array
        Squared norms of the centred rows, (rows,).
    """

    rows: Array
    centred: Array
    norms: Array

    @classmethod
    def of(cls, rows: Array, centre: Array) -> Points:
        """Return points about a centre, (features,), which all points of one comparison must share."""
        centred = rows - centre
        return cls(rows, centred, np.einsum("ij,ij->i", centred, centred))

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, eq=False)
class Block:
    """Squared distances of some points ``a[place]`` to all points ``b``, rounding included; ``first`` is the number of the first."""

    a: Points
    b: Points
    first: int
    d2: Array

    @property
    def place(self) -> slice:
        """Where the rows of the block stand among those of a."""
        return slice(self.first, self.first + len(self.d2))

    @property
    def bound(self) -> Array:
        """What no error of a distance in the same row exceeds, (rows of the block,)."""
        bound: Array = self._unit() * (self.a.norms[self.place] + self.b.norms.max())
        return bound

    def exactly(self, i: Array, j: Array) -> Array:
        """Return the plain squared distances of row ``i`` of the block to row ``j`` of b, for index arrays (pairs,)."""
        return squared_distances(self.a.rows, self.b.rows, self.first + i, j)

    def near(self, value: Array) -> tuple[Array, Array]:
        """Return where a distance is too near to a value (broadcast to the block) to be compared with it."""
        i, j = np.nonzero(np.abs(self.d2 - value) <= self.bound[:, None])
        error = self._unit() * (self.a.norms[self.first + i] + self.b.norms[j])  # the bound of the pair, for outliers
        close = np.abs(self.d2[i, j] - np.broadcast_to(value, self.d2.shape)[i, j]) <= error
        return i[close], j[close]

    def below(self, value: Array, *, strict: bool) -> Array:
        """Return where the plain squared distance is less than a value, or equal unless ``strict``: bool, as the block."""
        found: Array = self.d2 < value
        i, j = self.near(value)
        limit = np.broadcast_to(value, self.d2.shape)[i, j]
        exact = self.exactly(i, j)
        found[i, j] = exact < limit if strict else exact <= limit
        return found

    def smallest(self, k: int) -> Array:
        """Return the k-th smallest plain squared distance of each row of the block (k from 1), (rows of the block,)."""
        about = np.partition(self.d2, k - 1, axis=1)[:, k - 1 : k]
        margin = 2 * self.bound[:, None]
        certain = (self.d2 < about - margin).sum(1)  # they come before the k-th, whatever the rounding
        i, j = np.nonzero(np.abs(self.d2 - about) <= margin)
        exact = self.exactly(i, j)
        order = np.lexsort((exact, i))
        start = np.searchsorted(i, np.arange(len(self.d2)))  # i is sorted
        found: Array = exact[order][start + k - 1 - certain]
        return found

    def _unit(self) -> float:
        return 4.0 * float(self.a.rows.shape[1] + 8) * EPSILON  # more than twice the textbook bound of both formulas


def blocks(a: Points, b: Points, *, block: int | None = None) -> Iterator[Block]:
    """Yield the distances of ``block`` rows of a at a time to all rows of b.

    Where both are the same object, a row has no distance to itself: it is infinite, not a rounded 0 that might not be the smallest.
    """
    size = block or max(1, BLOCK_VALUES // len(b))
    for first in range(0, len(a), size):
        d2 = a.centred[first : first + size] @ b.centred.T
        d2 *= -2
        d2 += a.norms[first : first + size, None]
        d2 += b.norms
        if a is b:
            np.einsum("ii->i", d2[:, first : first + size])[:] = np.inf
        yield Block(a, b, first, d2)


def kth_nearest(a: Points, b: Points, k: int, *, block: int | None = None) -> Array:
    """Return the squared distance of each row of a to its k-th nearest row of b (itself excluded where a is b), (rows,)."""
    return np.concatenate([one.smallest(k) for one in blocks(a, b, block=block)])


def squared_distances(a: Array, b: Array, i: Array, j: Array) -> Array:
    """Return sum((a[i] - b[j])^2) over features in float64 for index arrays i and j, (pairs,)."""
    step = max(1, DIRECT_VALUES // a.shape[1])
    found = np.empty(len(i))
    for first in range(0, len(i), step):
        piece = slice(first, first + step)
        difference = a[i[piece]].astype(np.float64)
        difference -= b[j[piece]]
        found[piece] = np.square(difference, out=difference).sum(1)
    return found
