"""What most users have, for everybody."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from engram.evaluation.baselines.recommender import Array, SimpleRecommender, ones


class Popularity(SimpleRecommender):
    """Items by how many users have them; the history is not looked at."""

    name = "popularity"

    def fit(self, matrix: Any, *, random_state: int = 0) -> Self:
        self.counts = np.asarray(ones(matrix).sum(0), dtype=np.float64).ravel()
        return self

    def scores(self, matrix: Any) -> Array:
        return np.tile(self.counts, (matrix.shape[0], 1))
