"""Principal components and their probabilistic form, in float64 and closed form.

Tipping & Bishop, Probabilistic Principal Component Analysis, 1999: section 3.2 and appendix A.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

EXACT_UP_TO = 2048  # columns (or rows) up to which the eigenvalues are computed exactly


class Components(NamedTuple):
    """Principal components of rows."""

    mean: Tensor  # (columns,)
    vectors: Tensor  # (k, columns), orthonormal, the largest variance first
    variances: Tensor  # (k,) along the vectors, divided by the number of rows
    residual: Tensor  # () mean variance of the directions left out


def principal_components(x: Tensor, k: int) -> Components:
    """Return the first k principal components of x (rows, columns); signs make each vector's largest entry positive.

    With fewer than k directions of variance, the rest are orthonormal directions of no variance.
    """
    x = x.double()
    n, d = x.shape
    mean = x.mean(0)
    centred = x - mean
    total = centred.square().sum() / n
    if d <= EXACT_UP_TO:
        values, vectors = torch.linalg.eigh(centred.T @ centred / n)
        variances, vectors = values.flip(0)[:k].clamp(min=0), vectors.flip(1).T[:k]
    else:
        _, singular, v = torch.svd_lowrank(centred, q=min(k + 10, n, d), niter=4)
        variances, vectors = singular[:k].square() / n, v.T[:k]
    if len(vectors) < k:  # fewer rows than components asked for
        filled = torch.linalg.qr(torch.cat([vectors.T, torch.eye(d, k - len(vectors), dtype=x.dtype)], 1)).Q.T[:k]
        variances = torch.cat([variances, variances.new_zeros(k - len(variances))])
        vectors = torch.cat([vectors, filled[len(vectors) :]])
    signs = vectors.gather(1, vectors.abs().argmax(1, keepdim=True)).sign()
    residual = ((total - variances.sum()) / max(d - k, 1)).clamp(min=0)
    return Components(mean, vectors * signs, variances, residual)


class LinearGaussian(NamedTuple):
    """The maximum-likelihood linear Gaussian model x = weight z + mean + noise, and the exact posterior of z."""

    weight: Tensor  # (columns, k)
    mean: Tensor  # (columns,)
    noise: Tensor  # () variance of the noise
    encoder: Tensor  # (k, columns): posterior mean = encoder (x - mean)
    posterior: Tensor  # (k,) posterior variance, the same for every row


def probabilistic_pca(components: Components, floor: float = 0.0) -> LinearGaussian:
    """Equations 7 and 8 in the rotation where the posterior is diagonal; ``floor`` keeps the noise variance above zero."""
    mean, vectors, variances, residual = components
    noise = residual.clamp(min=floor)
    gain = (variances - noise).clamp(min=0).sqrt()
    weight = vectors.T * gain
    precision = gain.square() + noise  # M = W'W + noise I is diagonal here
    return LinearGaussian(weight, mean, noise, (vectors.T * (gain / precision)).T, noise / precision)
