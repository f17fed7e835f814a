"""A mixture of normal distributions on principal components: the density that a generator should beat.

Tipping & Bishop, Mixtures of Probabilistic Principal Component Analysers, 1999, with one set of components for all.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import torch

from engram.evaluation.baselines.baseline import Array
from engram.evaluation.baselines.sampler import Sampler
from engram.maths.linear import principal_components
from engram.maths.mixture import draw, fit_mixture
from engram.training.session import seed_from

COMPONENTS = 10  # normals, where there are rows enough
SUBSPACE = 32  # principal components that they live on: full covariances of more need more rows
ROWS = 20_000  # that are learned from at most


class GaussianMixture(Sampler):
    """Rows are mean + code vectors + noise: codes from a mixture of normals, noise independent with each column's residual variance."""

    name = "gaussian-mixture"

    def fit(self, x: Array, *, random_state: int = 0) -> Self:
        rng = np.random.default_rng(random_state)
        if len(x) > ROWS:
            x = x[rng.choice(len(x), ROWS, replace=False)]
        rows = torch.from_numpy(np.asarray(x, dtype=np.float64))
        found = principal_components(rows, max(1, min(SUBSPACE, *rows.shape)))
        self.mean, self.vectors = found.mean, found.vectors
        codes = (rows - self.mean) @ self.vectors.T
        residual = rows - self.mean - codes @ self.vectors
        self.noise = residual.square().mean(0).sqrt()
        self.mixture = fit_mixture(codes, COMPONENTS, seed=random_state)
        return self

    def sample(self, n: int, random_state: Any = 0) -> Array:
        generator = torch.Generator().manual_seed(seed_from(random_state))
        codes = draw(n, self.mixture, generator).double()
        noise = torch.randn(n, len(self.noise), generator=generator, dtype=torch.float64) * self.noise
        found: Array = (self.mean + codes @ self.vectors + noise).float().numpy()
        return found
