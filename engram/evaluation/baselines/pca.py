"""Principal components with the model's code size, and the density that goes with them (Tipping & Bishop, 1999)."""

from __future__ import annotations

import math
from typing import Self

import numpy as np
import torch
from torch import Tensor

from engram.evaluation.baselines.baseline import Array, Baseline
from engram.likelihoods.continuous import FLOOR
from engram.maths.divergence import LOG_2_PI
from engram.maths.linear import principal_components, probabilistic_pca
from engram.registry import BASELINES

BLOCK = 1 << 20  # numbers in the (rows, k, k) matrices of one block


@BASELINES.register("pca", "Principal components with the model's code size; probabilistic PCA")
class PCA(Baseline):
    """Rows are projected on the first principal components; log p is that of probabilistic PCA.

    The fit takes missing cells as the mean; the log-likelihood is exact for the observed cells of a row.
    """

    sized = True

    def fit(self, x: Array, mask: Array | None = None, *, code_size: int = 1, random_state: int = 0) -> Self:
        """Find the components."""
        found = principal_components(_tensor(x), min(code_size, x.shape[1]))
        self.mean, self.vectors = found.mean, found.vectors
        model = probabilistic_pca(found, floor=FLOOR**2)
        self.weight, self.noise = model.weight, model.noise
        return self

    @classmethod
    def of(cls, weight: Tensor, mean: Tensor, noise: Tensor) -> Self:
        """Return the density of x = ``weight`` z + ``mean`` + noise of this variance, however these were found; float64."""
        found = cls()
        found.mean, found.weight, found.noise = mean, weight, noise
        return found

    def reconstruct(self, x: Array, mask: Array | None = None) -> Array:
        """Return the rows projected on the components."""
        back: Array = (self.mean + (_tensor(x) - self.mean) @ self.vectors.T @ self.vectors).numpy()
        return back

    def log_likelihood(self, x: Array, mask: Array | None = None) -> Array:
        """Log density of the observed cells under N(mean, W W' + noise I)."""
        centred = _tensor(x) - self.mean
        if mask is None:
            precision = self.weight.T @ self.weight
            return self._log_density(centred, torch.full((len(x),), float(x.shape[1])), precision).numpy()
        seen = torch.from_numpy(mask).double()
        k = self.weight.shape[1]
        block = max(1, BLOCK // k**2)
        products = (self.weight[:, :, None] * self.weight[:, None, :]).flatten(1)
        parts = [
            self._log_density(c * s, s.sum(1), (s @ products).view(len(s), k, k))
            for c, s in zip(torch.split(centred, block), torch.split(seen, block), strict=True)
        ]
        return torch.cat(parts).numpy()

    def _log_density(self, centred: Tensor, observed: Tensor, products: Tensor) -> Tensor:
        """Woodbury: only k x k matrices, M = W'W + noise I over the observed columns, are factored."""
        noise = self.noise
        k = products.shape[-1]
        factor = torch.linalg.cholesky(products + noise * torch.eye(k, dtype=products.dtype))
        projected = (centred @ self.weight)[..., None]
        whitened = torch.linalg.solve_triangular(factor, projected, upper=False)[..., 0]
        distance = (centred.square().sum(1) - whitened.square().sum(1)) / noise
        log_det = (observed - k) * math.log(noise) + 2 * factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        density: Tensor = -0.5 * (distance + log_det + observed * LOG_2_PI)
        return density


def _tensor(x: Array) -> Tensor:
    return torch.from_numpy(np.asarray(x, dtype=np.float64))
