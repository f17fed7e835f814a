"""The mean distance to the nearest training rows: hard to beat at finding anomalies in tables."""

from __future__ import annotations

from typing import Self

import numpy as np
from sklearn.neighbors import NearestNeighbors

from engram.evaluation.baselines.baseline import Array, Baseline
from engram.registry import BASELINES

NEIGHBOURS = 5
MOST_ROWS = 20_000  # training rows that are kept: distances to more would take minutes


@BASELINES.register("knn", "Mean distance to the 5 nearest training rows")
class Knn(Baseline):
    """A row is as normal as it is near to its 5 nearest training rows (Angiulli & Pizzuti, PKDD 2002)."""

    def fit(self, x: Array, mask: Array | None = None, *, code_size: int = 1, random_state: int = 0) -> Self:
        """Keep the rows, or a seeded choice of them where they are many."""
        if len(x) > MOST_ROWS:
            x = x[np.sort(np.random.default_rng(random_state).choice(len(x), MOST_ROWS, replace=False))]
        self.neighbours = NearestNeighbors(n_neighbors=min(NEIGHBOURS, len(x))).fit(x)
        return self

    def score_samples(self, x: Array, mask: Array | None = None) -> Array:
        """Return minus the mean distance to the nearest training rows."""
        distances, _ = self.neighbours.kneighbors(x)
        scores: Array = -distances.mean(1)
        return scores
