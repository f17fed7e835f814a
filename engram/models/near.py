"""The nearest of many codes, exactly: ties go to the lower number, also where they decide which codes are among the nearest at all."""

from __future__ import annotations

import numpy as np

from engram.models.scores import Array

VALUES = 1 << 22  # of distances, or of differences of codes, that are held at once


def nearest_codes(codes: Array, known: Array, n: int) -> tuple[Array, Array]:
    """Return (numbers, distances), (rows, n) each, of the nearest known codes of each code, the nearest first, of ties the lower number."""
    from sklearn.neighbors import NearestNeighbors

    n = min(n, len(known))
    asked = min(n + 1, len(known))  # one more says whether the search has cut through a tie
    found = NearestNeighbors(n_neighbors=asked).fit(known).kneighbors(codes, return_distance=False)
    # not from a product of matrices, so that other rows beside do not matter
    exact = np.stack([np.square(known[column] - codes).sum(1) for column in found.T], 1)
    order = np.lexsort((found, exact), axis=1)
    found, exact = np.take_along_axis(found, order, 1), np.take_along_axis(exact, order, 1)
    if asked > n:
        cut = np.flatnonzero(exact[:, n] - exact[:, n - 1] <= 2 * _rounding(codes, known))
        size = max(1, VALUES // len(known))
        for at in range(0, len(cut), size):
            rows = cut[at : at + size]
            found[rows, :n], exact[rows, :n] = _by_all(codes[rows], known, n)
    return found[:, :n], np.sqrt(exact[:, :n])


def _rounding(codes: Array, known: Array) -> Array:
    """Return how far a squared distance may be off that was computed from a product of matrices, (rows,)."""
    largest = np.square(known).sum(1).max()
    steps = 8.0 * (codes.shape[1] + 4)
    bound: Array = steps * np.finfo(np.float64).eps * (np.square(codes).sum(1) + largest)
    return bound


def _by_all(codes: Array, known: Array, n: int) -> tuple[Array, Array]:
    """Return (numbers, squared distances), (rows, n) each, from the distances to all known codes."""
    about = np.square(codes).sum(1)[:, None] - 2 * codes @ known.T + np.square(known).sum(1)
    limit = np.partition(about, n - 1, axis=1)[:, n - 1] + 2 * _rounding(codes, known)
    rows, numbers = np.nonzero(about <= limit[:, None])  # row by row, at least n of each
    size = max(1, VALUES // codes.shape[1])
    exact = np.concatenate(
        [
            np.square(known[numbers[at : at + size]] - codes[rows[at : at + size]]).sum(1)
            for at in range(0, len(rows), size)
        ]
    )
    order = np.lexsort((numbers, exact, rows))
    first = order[np.searchsorted(rows, np.arange(len(codes)))[:, None] + np.arange(n)]
    return numbers[first], exact[first]
