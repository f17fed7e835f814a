"""A Gaussian copula: every single column as it was seen, and between columns the correlations of their normal scores.

Nelsen, An Introduction to Copulas, 2006; with empirical margins and normal scores (van der Waerden, 1952).
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from scipy.stats import norm

from engram.evaluation.baselines.baseline import Array
from engram.evaluation.baselines.sampler import Sampler
from engram.training.session import seed_from


class GaussianCopula(Sampler):
    """Rows are z ~ N(0, R), each z_j turned into the cell at the same level of column j; R are the correlations of normal scores.

    Equal cells share their levels in an order drawn by chance, so that categories become steps of a latent normal; missing cells are one
    more step, below all others.
    """

    name = "gaussian-copula"

    def fit(self, x: Array, *, random_state: int = 0) -> Self:
        rng = np.random.default_rng(random_state)
        self.sorted = np.sort(np.where(np.isnan(x), -np.inf, x).astype(np.float64), axis=0)
        levels = np.empty(x.shape)
        for j in range(x.shape[1]):
            order = np.lexsort((rng.random(len(x)), np.where(np.isnan(x[:, j]), -np.inf, x[:, j])))
            levels[order, j] = (np.arange(len(x)) + 0.5) / len(x)
        scores = norm.ppf(levels)
        scores /= np.sqrt(np.square(scores).mean(0)) + 1e-12
        r = scores.T @ scores / len(x)
        values, vectors = np.linalg.eigh(r)
        self.factor = vectors * np.sqrt(np.clip(values, 0, None))
        return self

    def sample(self, n: int, random_state: Any = 0) -> Array:
        rng = np.random.default_rng(seed_from(random_state))
        z = rng.normal(size=(n, self.factor.shape[1])) @ self.factor.T
        at = np.minimum((norm.cdf(z) * len(self.sorted)).astype(np.int64), len(self.sorted) - 1)
        found = np.take_along_axis(self.sorted, at, axis=0)
        rows: Array = np.where(np.isneginf(found), np.nan, found).astype(np.float32)
        return rows
