"""Column means, and independent normals about them: what is known without looking at two columns together."""

from __future__ import annotations

from typing import Self

import numpy as np

from engram.evaluation.baselines.baseline import Array, Baseline
from engram.likelihoods.continuous import FLOOR
from engram.registry import BASELINES

PRIOR_ROWS = 10  # a column's variance is shrunk to the mean variance as if that had been seen on so many rows


@BASELINES.register("mean", "The column means; independent normals")
class Mean(Baseline):
    """Every row comes back as the column means of the observed cells; log p is that of independent normals.

    Variances are shrunk to their mean over columns: a pixel that is dark in every training row would otherwise make
    any row with a little light there impossible.
    """

    def fit(self, x: Array, mask: Array | None = None, *, code_size: int = 1, random_state: int = 0) -> Self:
        """Take the mean and the variance of each column."""
        seen = np.ones(x.shape, dtype=bool) if mask is None else mask
        count = seen.sum(0)
        values = np.where(seen, x, 0.0).astype(np.float64)
        self.mean = values.sum(0) / np.maximum(count, 1)
        squares = np.square(np.where(seen, values - self.mean, 0.0)).sum(0)
        shared = squares.sum() / max(int(count.sum()), 1)
        self.variance = np.maximum((squares + PRIOR_ROWS * shared) / (count + PRIOR_ROWS), FLOOR**2)
        return self

    def reconstruct(self, x: Array, mask: Array | None = None) -> Array:
        """Return the column means, once per row."""
        return np.tile(self.mean, (len(x), 1))

    def log_likelihood(self, x: Array, mask: Array | None = None) -> Array:
        """Sum the normal log densities of the observed cells."""
        density = -0.5 * (np.square(x - self.mean) / self.variance + np.log(2 * np.pi * self.variance))
        total: Array = (density if mask is None else np.where(mask, density, 0.0)).sum(1)
        return total
