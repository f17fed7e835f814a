"""Principal components and their probabilistic form, in float64 and closed form.

Tipping & Bishop, Probabilistic Principal Component Analysis, 1999: section 3.2 and appendix A.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from scipy.linalg.lapack import dtrtri
from torch import Tensor

EXACT_UP_TO = 2048  # columns or rows, whichever are fewer, up to which the eigenvalues are computed exactly


class Components(NamedTuple):
    """Principal components of rows."""

    mean: Tensor  # (columns,)
    vectors: Tensor  # (k, columns), orthonormal, the largest variance first
    variances: Tensor  # (k,) along the vectors, divided by the number of rows
    residual: Tensor  # () mean variance of the directions left out


def principal_components(x: Tensor, k: int) -> Components:
    """Return the first k principal components of x (rows, columns); signs make each vector's largest entry positive.

    With fewer than k directions of variance, the rest are orthonormal directions of no variance; vectors beyond the
    number of columns are zero.
    """
    x = x.double()
    n, d = x.shape
    mean = x.mean(0)
    centred = x - mean
    total = centred.square().sum() / n
    if d <= min(n, EXACT_UP_TO):
        values, vectors = torch.linalg.eigh(centred.T @ centred / n)
        variances, vectors = values.flip(0)[:k].clamp(min=0), vectors.flip(1).T[:k]
    elif n <= EXACT_UP_TO:
        variances, vectors = _from_rows(centred, k)
    else:
        variances, vectors = _leading(centred, k)
    if len(vectors) < k:
        variances, vectors = _filled(variances, vectors, k)
    signs = vectors.gather(1, vectors.abs().argmax(1, keepdim=True)).sign()
    residual = ((total - variances.sum()) / max(d - k, 1)).clamp(min=0)
    return Components(mean, vectors * signs, variances, residual)


def directions(x: Tensor, share: float) -> int:
    """Return how many principal components of x (rows, columns) keep this share of its variance, at least 1."""
    centred = x.double() - x.double().mean(0)
    n, d = centred.shape
    values = torch.linalg.eigvalsh(centred.T @ centred if d <= n else centred @ centred.T).flip(0).clamp(min=0)
    kept = values.cumsum(0) / values.sum().clamp(min=1e-12)
    return int((kept < share).sum()) + 1 if float(values.sum()) > 0 else 1


def inverse_root(covariance: Tensor) -> Tensor:
    """Return R with R R' the inverse of covariance matrices (..., n, n) float64: upper triangular, the transposed inverse of Cholesky's.

    The inverse of a triangle takes an eighth of the operations of any other, which is what counts in tables of thousands of columns.
    """
    factors = torch.linalg.cholesky(covariance)
    found = [torch.from_numpy(dtrtri(factor.T.numpy())[0].T) for factor in factors.reshape(-1, *factors.shape[-2:])]
    return torch.stack(found).view_as(factors).mT


def _from_rows(centred: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Eigenvalues of the products of rows: the same as those of columns, and fewer where rows are fewer."""
    n = len(centred)
    values, left = torch.linalg.eigh(centred @ centred.T / n)
    values, left = values.flip(0)[:k], left.flip(1).T[:k]
    real = values > 1e-10 * values[0].clamp(min=0)  # the others are rounding: their directions would not be orthonormal
    return values[real], left[real] @ centred / (n * values[real, None]).sqrt()


def _leading(centred: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Randomised subspace iteration (Halko, Martinsson & Tropp, 2011, algorithm 4.4).

    With a seed of its own: the same rows give the same answer, and the caller's random state is left alone.
    """
    n, d = centred.shape
    generator = torch.Generator(centred.device).manual_seed(0)
    basis = torch.randn(d, min(k + 10, n, d), generator=generator, dtype=centred.dtype, device=centred.device)
    for _ in range(6):
        basis = torch.linalg.qr(centred.T @ (centred @ basis)).Q
    _, singular, right = torch.linalg.svd(centred @ basis, full_matrices=False)
    return singular[:k].square() / n, right[:k] @ basis.T


def _filled(variances: Tensor, vectors: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Append orthonormal vectors of no variance up to k, or up to the number of columns and then zeros."""
    found, d = vectors.shape
    more = torch.eye(d, min(k, d) - found, dtype=vectors.dtype, device=vectors.device)
    basis = torch.linalg.qr(torch.cat([vectors.T, more], 1)).Q.T[found:]
    zeros = vectors.new_zeros(k - found - len(basis), d)
    return torch.cat([variances, variances.new_zeros(k - found)]), torch.cat([vectors, basis, zeros])


class LinearGaussian(NamedTuple):
    """The maximum-likelihood linear Gaussian model x = weight z + mean + noise, and the exact posterior of z."""

    weight: Tensor  # (columns, k)
    mean: Tensor  # (columns,)
    noise: Tensor  # () variance of the noise
    encoder: Tensor  # (k, columns): posterior mean = encoder (x - mean)
    posterior: Tensor  # (k,) posterior variance, the same for every row


def probabilistic_pca(components: Components, floor: float = 0.0) -> LinearGaussian:
    """Equations 7 and 8 in the rotation where the posterior is diagonal; ``floor`` keeps the noise above zero."""
    mean, vectors, variances, residual = components
    noise = residual.clamp(min=floor)
    gain = (variances - noise).clamp(min=0).sqrt()
    weight = vectors.T * gain
    precision = gain.square() + noise  # M = W'W + noise I is diagonal here
    # no noise and no gain (constant rows): the code says nothing, so that its posterior is the prior
    encoder = vectors * (gain / precision.where(precision > 0, 1.0))[:, None]
    return LinearGaussian(weight, mean, noise, encoder, torch.where(precision > 0, noise / precision, 1.0))
