"""How much of an item a user has, by means alone: mu + b_u + b_i (Koren, Bell & Volinsky, Computer 42, 2009, equation 3)."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from scipy import sparse

from engram.evaluation.baselines.recommender import Array

SHRINKAGE = 5.0  # events that a mean of none counts for
SWEEPS = 10


class WeightBias:
    """The mean of all weights, of an item's and of a user's, each shrunk; of new users by their history."""

    name = "bias model"

    def fit(self, matrix: Any) -> Self:
        """Learn from weights, (users, items) sparse; zero is not observed."""
        cells = sparse.coo_array(matrix)
        rows, columns = cells.coords
        y = cells.data.astype(np.float64)
        self.mean = float(y.mean())
        n_users, n_items = cells.shape
        own = np.zeros(n_users)
        by_user, by_item = np.bincount(rows, minlength=n_users), np.bincount(columns, minlength=n_items)
        self.item = np.zeros(n_items)
        for _ in range(SWEEPS):
            self.item = np.bincount(columns, y - self.mean - own[rows], minlength=n_items) / (by_item + SHRINKAGE)
            own = np.bincount(rows, y - self.mean - self.item[columns], minlength=n_users) / (by_user + SHRINKAGE)
        return self

    def predict(self, matrix: Any) -> Array:
        """Return expected weights for histories of weights, (rows, items)."""
        cells = sparse.coo_array(matrix)
        rows, columns = cells.coords
        n = cells.shape[0]
        left = cells.data.astype(np.float64) - self.mean - self.item[columns]
        own = np.bincount(rows, left, minlength=n) / (np.bincount(rows, minlength=n) + SHRINKAGE)
        found: Array = self.mean + self.item[None] + own[:, None]
        return found
