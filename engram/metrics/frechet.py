"""Frechet distance: how far the mean and covariance of generated features lie from those of real ones.

For two Gaussians it is the squared 2-Wasserstein distance, |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)). The trace of the
root needs no root of a matrix: with factors S1 = F1' F1 and S2 = F2' F2 it is the sum of the singular values of F1 F2', which
are real and never negative, whatever the rank (Mathiasen & Hvilshøj, Backpropagating through Frechet Inception Distance, 2020).
Fewer rows than features are their own factor; otherwise a Cholesky factor of one covariance is enough, since the squares of the
singular values are the eigenvalues of F1 S2 F1'.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engram.errors import DataError
from engram.metrics.metric import Array
from engram.metrics.rows import feature_rows, within_range
from engram.registry import METRICS

EPSILON = float(np.finfo(np.float64).eps)
NEGLIGIBLE = 1e-9  # of the two traces: a larger error of the eigenvalues has the singular values computed instead
BLOCK = 1024  # rows that are centred at a time
FRECHET = ("frechet", "FID")  # what the distance is called: on any features, and on those of Inception alone


@dataclass(frozen=True, eq=False)
class GaussianStatistics:
    """What the Frechet distance needs of a set of features: keep those of a reference and use them again.

    Parameters
    ----------
    mean : array
        Of each feature, (features,) float64.
    n : int
        Rows that went in.
    factor : array or None
        F with F' F = the covariance, (n - 1, features) float64; where there are at most as many rows as features.
    covariance : array or None
        With denominator n - 1, (features, features) float64, of which only the lower triangle holds; else.
    """

    mean: Array
    n: int
    factor: Array | None = None
    covariance: Array | None = None

    @property
    def variance(self) -> float:
        """The trace of the covariance."""
        if self.factor is not None:
            return float(np.einsum("ij,ij->", self.factor, self.factor))
        assert self.covariance is not None
        return float(np.trace(self.covariance))


@METRICS.register("frechet", better="lower", unit="squared feature units")
def frechet_distance(real: Array, generated: Array) -> float:
    """Frechet distance: squared 2-Wasserstein distance of the two Gaussians with the features' means and covariances.

    Direction: lower is better; 0 for equal means and covariances. It is biased upwards by about a constant / rows, so
    compare values at equal row counts only, beside the distance of two halves of the real rows. Called FID only where the
    features are those of one published Inception network. Unit: squared feature units. Source: Heusel et al., GANs trained by a
    two time-scale update rule, NeurIPS 2017, equation 6; covariances have the denominator rows - 1, all in float64.

    Parameters
    ----------
    real, generated : array
        Features, (rows, ...), at least two rows each; the numbers of rows may differ.

    Raises
    ------
    DataError
        Arrays of other shapes, too few rows, different widths, values that are not finite or too large to be multiplied.
    """
    x, y = feature_rows(2, real=real, generated=generated)
    return frechet_from_statistics(_statistics(x), _statistics(y))


def statistics(features: Array) -> GaussianStatistics:
    """Return the mean and the covariance (or, of few rows, its factor) of features, (rows, ...), for `frechet_from_statistics`.

    Raises
    ------
    DataError
        An array of another shape, fewer than two rows, values that are not finite.
    """
    return _statistics(*feature_rows(2, features=features))


def frechet_from_statistics(a: GaussianStatistics, b: GaussianStatistics) -> float:
    """Return the Frechet distance of two sets of features by their statistics, as `frechet_distance` does.

    Raises
    ------
    DataError
        Statistics of different numbers of features, or of values that are too large to be multiplied.
    """
    if a.mean.shape != b.mean.shape:
        raise DataError(
            f"the statistics must be of the same features, these have {len(a.mean)} and {len(b.mean)} features."
        )
    with np.errstate(over="ignore", invalid="ignore"):
        variance = a.variance + b.variance
        between = float(np.square(a.mean - b.mean).sum())
        within_range(between, variance * variance)  # which bounds the products of the covariances
    # a squared distance: what is below 0 is rounding
    return max(between + variance - 2 * _root_trace(a, b, allowed=NEGLIGIBLE * variance), 0.0)


@np.errstate(over="ignore", invalid="ignore")  # told where a distance is computed
def _statistics(rows: Array) -> GaussianStatistics:
    from scipy.linalg.blas import dsyrk

    n, d = rows.shape
    mean = rows.mean(0, dtype=np.float64)
    if n <= d:
        return GaussianStatistics(mean, n, factor=_row_factor(rows, mean))
    covariance = np.zeros((d, d), order="F")
    for first in range(0, n, BLOCK):
        centred = rows[first : first + BLOCK] - mean
        covariance = dsyrk(1 / (n - 1), centred.T, beta=1.0, c=covariance, lower=1, overwrite_c=1)
    return GaussianStatistics(mean, n, covariance=covariance)


def _row_factor(rows: Array, mean: Array) -> Array:
    """Return F of n - 1 rows with F' F = the covariance: the centred rows without the direction in which they sum to 0.

    A Householder reflection takes (1, ..., 1) to the first axis, so that the first row is 0 and drops out.
    """
    n = len(rows)
    centred: Array = rows - mean
    axis = np.ones(n)
    axis[0] += np.sqrt(n)
    centred -= np.outer(axis, 2 / (axis @ axis) * (axis @ centred))
    centred /= np.sqrt(n - 1)
    return centred[1:]


def _root_trace(a: GaussianStatistics, b: GaussianStatistics, allowed: float) -> float:
    """Return tr (Sa Sb)^(1/2) with an error of at most about ``allowed``."""
    if a.factor is not None and b.factor is not None:
        fewer, more = sorted((a.factor, b.factor), key=len)
        product = fewer @ more.T
        return _singular_sum(_outer(product), lambda: product, allowed)
    if b.factor is not None:
        a, b = b, a
    if a.factor is None:
        if (lower := _cholesky(a)) is None and (lower := _cholesky(b)) is not None:
            a, b = b, a
        if lower is not None:
            triangle: Array = lower
            return _singular_sum(_between(triangle, b), lambda: np.tril(triangle).T @ _factor(b).T, allowed)
    factor = _factor(a)
    return _singular_sum(_through(factor, b), lambda: factor @ _factor(b).T, allowed)


def _singular_sum(gram: Array, product: Callable[[], Array], allowed: float) -> float:
    """Return the sum of the singular values of a product M by the eigenvalues of its Gram matrix M M' (lower triangle).

    That halves the work, and the digits of small singular values: an eigenvalue is exact to about epsilon times the largest one.
    Where that could amount to more than ``allowed``, the singular values themselves are computed.
    """
    from scipy.linalg import eigh, svdvals

    if not gram.size:
        return 0.0
    squares = np.maximum(
        eigh(gram, lower=True, eigvals_only=True, driver="ev", overwrite_a=True, check_finite=False), 0.0
    )
    values = np.sqrt(squares)
    slack = 4 * EPSILON * float(squares[-1])
    error = np.minimum(np.sqrt(slack), slack / (2 * np.maximum(values, np.sqrt(slack) / 2))).sum() if slack else 0.0
    if 2 * error > allowed:
        values = svdvals(product(), overwrite_a=True, check_finite=False)
    return float(values.sum())


def _cholesky(of: GaussianStatistics) -> Array | None:
    """Return L with L L' = the covariance, in the lower triangle (the upper one holds anything); None where it is near singular."""
    from scipy.linalg.lapack import dpotrf

    lower, failed = dpotrf(of.covariance, lower=1, clean=0)
    if failed:
        return None
    pivots = np.square(np.diagonal(lower))
    return lower if pivots.min() > len(pivots) * EPSILON * pivots.max() else None


def _factor(of: GaussianStatistics) -> Array:
    """Return F with F' F = the covariance, (rank, features): by pivoting, which finds the rank and drops what is rounding."""
    from scipy.linalg.lapack import dpstrf

    if of.factor is not None:
        return of.factor
    lower, pivots, rank, _ = dpstrf(of.covariance, lower=1)
    factor = np.zeros((rank, len(lower)))
    factor[:, pivots - 1] = np.tril(lower)[:, :rank].T  # LAPACK counts from 1
    return factor


def _outer(product: Array) -> Array:
    """Return M M', lower triangle."""
    from scipy.linalg.blas import dsyrk

    gram: Array = dsyrk(1.0, product.T, trans=1, lower=1)
    return gram


def _between(lower: Array, b: GaussianStatistics) -> Array:
    """Return L' S L, lower triangle, at half the cost of the two products."""
    from scipy.linalg.lapack import dsygst

    gram: Array = dsygst(b.covariance, lower, itype=2, lower=1)[0]
    return gram


def _through(factor: Array, b: GaussianStatistics) -> Array:
    """Return F S F', lower triangle."""
    from scipy.linalg.blas import dsymm

    gram: Array = dsymm(1.0, b.covariance, factor.T, lower=1).T @ factor.T
    return np.asfortranarray(gram)
