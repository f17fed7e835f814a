"""SMOTE: rows between training rows and their neighbours (Chawla et al., JAIR 16, 2002, arXiv:1106.1813)."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.neighbors import NearestNeighbors

from engram.evaluation.baselines.baseline import Array
from engram.evaluation.baselines.sampler import Sampler
from engram.training.session import seed_from

NEIGHBOURS = 5
ROWS = 20_000  # that are learned from at most


class SMOTE(Sampler):
    """A row is x + u (neighbour - x), u even in (0, 1), of a training row x and one of its 5 nearest, of the same class.

    Of discrete columns it has the value that most of the 5 have (SMOTE-NC, section 6.1; there a difference of categories counts like the
    median standard deviation, which is 1 here, since numbers are standardised). A cell that is missing in x or the neighbour stays missing.

    Parameters
    ----------
    discrete : array, optional
        (columns,) bool: which columns hold categories.
    target : int, optional
        The column of classes, which is discrete: neighbours are of the same class.
    """

    name = "smote"

    def __init__(self, discrete: Array | None = None, target: int | None = None) -> None:
        self.discrete, self.target = discrete, target

    def fit(self, x: Array, *, random_state: int = 0) -> Self:
        rng = np.random.default_rng(random_state)
        rows = np.asarray(x, dtype=np.float64)
        self.rows = rows[rng.permutation(len(rows))[:ROWS]]
        self.kinds = (
            np.zeros(x.shape[1], dtype=bool) if self.discrete is None else np.asarray(self.discrete, dtype=bool)
        )
        features = self._features(self.rows)
        classes = np.zeros(len(self.rows)) if self.target is None else self.rows[:, self.target]
        self.near = np.repeat(np.arange(len(self.rows))[:, None], NEIGHBOURS, 1)
        for value in np.unique(classes):
            at = np.flatnonzero(np.isnan(classes) if np.isnan(value) else classes == value)
            k = min(NEIGHBOURS, len(at) - 1)
            if k > 0:
                found = NearestNeighbors(n_neighbors=k).fit(features[at]).kneighbors(return_distance=False)
                self.near[at] = at[np.resize(found.T, (NEIGHBOURS, len(at))).T]
        return self

    def _features(self, rows: Array) -> Array:
        """Return standardised numbers and categories as one-hot values that lie 1 apart, missing cells at the mean."""
        numbers = rows[:, ~self.kinds]
        with np.errstate(invalid="ignore"):
            mean = np.nan_to_num(np.nanmean(np.where(np.isnan(numbers).all(0), 0.0, numbers), axis=0))
            scale = np.nan_to_num(np.nanstd(np.where(np.isnan(numbers).all(0), 0.0, numbers), axis=0))
        found = [np.nan_to_num((numbers - mean) / np.where(scale > 0, scale, 1.0))]
        for column in rows[:, self.kinds].T:
            values = np.unique(column[~np.isnan(column)])
            found.append((column[:, None] == values) * np.sqrt(0.5))
        return np.column_stack(found)

    def sample(self, n: int, random_state: Any = 0) -> Array:
        rng = np.random.default_rng(seed_from(random_state))
        at = rng.integers(0, len(self.rows), n)
        other = self.near[at, rng.integers(0, NEIGHBOURS, n)]
        rows = self.rows[at] + rng.random((n, 1)) * (self.rows[other] - self.rows[at])
        for j in np.flatnonzero(self.kinds):
            rows[:, j] = _most_frequent(self.rows[self.near[at], j])
        if self.target is not None:
            rows[:, self.target] = self.rows[at, self.target]
        found: Array = rows.astype(np.float32)
        return found


def _most_frequent(cells: Array) -> Array:
    """Return the most frequent value of each row of cells, (rows, k); of equally frequent ones the first."""
    filled = np.where(np.isnan(cells), np.inf, cells)
    counts = (filled[:, :, None] == filled[:, None, :]).sum(2)
    found = np.take_along_axis(filled, counts.argmax(1)[:, None], 1)[:, 0]
    return np.where(np.isinf(found), np.nan, found)
