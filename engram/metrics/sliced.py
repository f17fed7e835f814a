"""Sliced Wasserstein distance: the exact distance of rows projected onto lines, over many lines."""

from __future__ import annotations

import numpy as np

from engram.errors import UsageError
from engram.metrics.metric import Array
from engram.metrics.rows import feature_rows, within_range
from engram.registry import METRICS

BLOCK = 32  # projections at a time


@METRICS.register("sliced-wasserstein", better="lower", unit="feature units")
def sliced_wasserstein(real: Array, generated: Array, n_projections: int = 256, random_state: int = 0) -> float:
    """Sliced Wasserstein distance: root of the mean squared 2-Wasserstein distance of the rows projected onto random lines.

    Direction: lower is better; 0 only for equal rows, and with few rows well above it for two draws of one distribution. Unlike
    the Frechet distance it sees more than means and covariances. Unit: feature units; a shift by v amounts to about |v| /
    sqrt(features). Source: Bonneel et al., Sliced and Radon Wasserstein barycenters of measures, JMIV 51, 2015, equation 8, each
    line by sorting.

    Parameters
    ----------
    real, generated : array
        Features, (rows, ...); the numbers of rows may differ.
    n_projections : int
        Lines, at least 1.
    random_state : int
        Seed of their directions, which are uniform.

    Raises
    ------
    DataError
        Arrays of other shapes, no rows, different widths, values that are not finite or too large to be squared.
    UsageError
        No lines.
    """
    if n_projections < 1:
        raise UsageError(f"n_projections must be at least 1, not {n_projections}.")
    x, y = feature_rows(1, real=real, generated=generated)
    lines = np.random.default_rng(random_state).normal(size=(x.shape[1], n_projections))
    lines /= np.linalg.norm(lines, axis=0)
    weights, i, j = _coupling(len(x), len(y))
    total = 0.0
    for first in range(0, n_projections, BLOCK):
        some = lines[:, first : first + BLOCK]
        with np.errstate(over="ignore", invalid="ignore"):
            a, b = np.sort(x @ some, axis=0), np.sort(y @ some, axis=0)
            total += float((weights @ np.square(a[i] - b[j])).sum())
    within_range(total)
    return float(np.sqrt(total / n_projections))


def _coupling(n: int, m: int) -> tuple[Array, Array, Array]:
    """Return the shares of mass and the places i, j of the sorted rows between which the best plan on a line moves them.

    It moves quantiles to quantiles: sorted row i of n holds the levels i / n to (i + 1) / n. In units of 1 / (n m) all are whole.
    """
    edges = np.union1d(np.arange(n + 1) * m, np.arange(m + 1) * n)
    return np.diff(edges) / (n * m), edges[:-1] // m, edges[:-1] // n
