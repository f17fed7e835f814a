"""Mixtures of normal distributions: densities, draws, and their fit by expectation-maximisation.

Dempster, Laird & Rubin, Maximum Likelihood from Incomplete Data via the EM Algorithm, 1977. They begin at k-means.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from engram.maths.distance import squared_distances
from engram.maths.divergence import LOG_2_PI, log_normal
from engram.maths.quantise import k_means, nearest

FEWEST = 10  # rows that a centre stands for, so that none is a row itself
ITERATIONS = 50
FLOOR = 1e-4  # of a component's variance, as a share of the mean variance of all


class Mixture(NamedTuple):
    """A mixture of k normal distributions of size dimensions."""

    weights: Tensor  # (k,), sum 1
    means: Tensor  # (k, size)
    factors: Tensor  # (k, size, size) lower triangles; factor factor' is the covariance


def log_mixture_units(z: Tensor, log_weights: Tensor, means: Tensor, log_var: Tensor) -> Tensor:
    """Log p(z_j | z_1 .. z_j-1) under a mixture of k diagonal normals, (rows, size), in nats; the sum over j is log p(z).

    Shapes: z (rows, size), log_weights (k,), means and log_var (k, size).
    """
    each = log_normal(z[:, None], means, log_var)  # (rows, k, size)
    joint = (each.cumsum(2) + log_weights[:, None]).logsumexp(1)
    return torch.cat([joint[:, :1], joint.diff(dim=1)], 1)


def log_mixture(z: Tensor, log_weights: Tensor, means: Tensor, log_var: Tensor) -> Tensor:
    """Log p(z) under a mixture of k diagonal normals, (rows,), in nats; shapes as in `log_mixture_units`."""
    return (log_normal(z[:, None], means, log_var).sum(2) + log_weights).logsumexp(1)


def log_density(z: Tensor, mixture: Mixture) -> Tensor:
    """Log density per row and component, weights included, (rows, k), in nats; the mixture's own is its logsumexp."""
    eye = torch.eye(z.shape[1], dtype=z.dtype).expand_as(mixture.factors)
    inverse = torch.linalg.solve_triangular(mixture.factors, eye, upper=False)
    constant = (
        mixture.weights.log() - mixture.factors.diagonal(dim1=1, dim2=2).log().sum(1) - 0.5 * z.shape[1] * LOG_2_PI
    )
    squared = [((z - mean) @ each.T).square().sum(1) for mean, each in zip(mixture.means, inverse, strict=True)]
    return constant - 0.5 * torch.stack(squared, 1)


def draw(n: int, mixture: Mixture, generator: torch.Generator | None = None) -> Tensor:
    """Draw from a mixture, (n, size)."""
    which = torch.multinomial(mixture.weights, n, replacement=True, generator=generator)
    noise = torch.randn(n, mixture.means.shape[1], generator=generator, dtype=mixture.means.dtype)
    return mixture.means[which] + torch.einsum("nij,nj->ni", mixture.factors[which], noise)


def group_means(x: Tensor, k: int, seed: int = 0) -> Tensor:
    """Return k typical rows as weights over the rows, (k, rows), each of which sums to one: of the rows nearest to a k-means centre.

    Each is the mean of at least `FEWEST` rows (of all, where there are fewer), so that none is a row itself.
    """
    found = _centres(x, k, seed)
    counts = torch.bincount(nearest(x[:, None], found[None])[:, 0], minlength=k)
    shares = torch.zeros(k, len(x), dtype=x.dtype)
    for share, centre, count in zip(shares, found, counts.tolist(), strict=True):
        size = min(max(count, FEWEST), len(x))
        share[squared_distances(x, centre[None])[:, 0].topk(size, largest=False).indices] = 1 / size
    return shares


def _centres(x: Tensor, k: int, seed: int) -> Tensor:
    """Return k-means centres, (k, size), by a seed of its own; torch's own generators stay as they are."""
    return k_means(x[:, None], k, generator=torch.Generator(x.device).manual_seed(seed))[0]


def fit_mixture(x: Tensor, k: int, seed: int = 0) -> Mixture:
    """Fit a mixture of at most k normals with full covariances to rows, (rows, size), by expectation-maximisation.

    A component stands for at least `FEWEST` rows and twice as many as it has dimensions; so fewer rows make fewer components.
    """
    x = x.double()
    size = x.shape[1]
    least = max(FEWEST, 2 * size)
    k = max(1, min(k, len(x) // least))
    floor = FLOOR * float(x.var(0, unbiased=False).mean()) + 1e-10
    own = torch.zeros(len(x), k, dtype=x.dtype)
    own.scatter_(1, nearest(x[:, None], _centres(x, k, seed)[None]), 1.0)
    before = -math.inf
    for _ in range(ITERATIONS):
        enough = own.sum(0) >= least
        if not bool(enough.all()) and own.shape[1] > 1:  # the rows of a component that is too small go to the others
            enough = enough if bool(enough.any()) else own.sum(0) == own.sum(0).max()
            own = own[:, enough] + (~enough).any() * 1e-12
            own = own / own.sum(1, keepdim=True)
        mixture = _maximised(x, own, floor)
        each = log_density(x, mixture)
        total = each.logsumexp(1)
        own = (each - total[:, None]).exp()
        if abs(float(total.mean()) - before) < 1e-4:
            break
        before = float(total.mean())
    return Mixture(*(tensor.float() for tensor in mixture))


def checked_mixture(mixture: Mixture, size: int) -> Mixture:
    """Return a mixture read from a file; raise `ValueError` where it is none of so many dimensions."""
    k = len(mixture.weights)
    shapes = [(k,), (k, size), (k, size, size)]
    if [tuple(t.shape) for t in mixture] != shapes or not all(bool(t.isfinite().all()) for t in mixture):
        raise ValueError("the density of codes cannot be")
    if not bool((mixture.weights > 0).all()) or not bool((mixture.factors.diagonal(dim1=1, dim2=2) > 0).all()):
        raise ValueError("the density of codes has weights or widths that are not positive")
    return mixture


def _maximised(x: Tensor, own: Tensor, floor: float) -> Mixture:
    """Return the most likely mixture given how much of each row belongs to each component, (rows, k)."""
    counts = own.sum(0)
    means = own.T @ x / counts[:, None]
    moments = torch.stack([(x * share[:, None]).T @ x for share in own.T]) / counts[:, None, None]
    covariances = moments - means[:, :, None] * means[:, None]
    covariances.diagonal(dim1=1, dim2=2).clamp_(min=0).add_(floor)
    return Mixture(counts / counts.sum(), means, torch.linalg.cholesky(covariances))
