"""Whether new rows come from where the known ones came: each column by itself, and the score."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import chi2, kstwobign

Array = np.ndarray[Any, np.dtype[Any]]


def of_numbers(grid: Array, known: int, values: Array) -> tuple[float, float]:
    """Return the two-sample Kolmogorov-Smirnov statistic and its asymptotic p-value.

    ``grid`` holds sorted quantiles of ``known`` cells; ``values`` are the new ones.
    """
    n = len(values)
    if not n:
        return 0.0, 1.0
    new = np.sort(values)
    places = np.concatenate([grid, new])
    gap = np.searchsorted(grid, places, side="right") / len(grid) - np.searchsorted(new, places, side="right") / n
    statistic = max(0.0, float(np.abs(gap).max()) - 1 / len(grid))  # what the grid leaves out is no difference
    return statistic, float(kstwobign.sf(statistic * np.sqrt(n * known / (n + known))))


def of_shares(shares: Array, known: int, counts: Array) -> tuple[float, float]:
    """Return the total variation distance between known shares and new counts, and the p-value of a chi-squared test of homogeneity."""
    n = counts.sum()
    if not n:
        return 0.0, 1.0
    before = np.where(shares * known < 1 - 1e-6, 0.0, shares * known)  # less than a row is what stands for none
    known, shares = before.sum(), before / before.sum()
    pooled = (before + counts) / (known + n)
    used = pooled > 0
    statistic = sum(
        float((((found - total * pooled) ** 2)[used] / (total * pooled)[used]).sum())
        for found, total in ((before, known), (counts, n))
    )
    distance = 0.5 * float(np.abs(shares - counts / n).sum())
    return distance, float(chi2.sf(statistic, max(int(used.sum()) - 1, 1)))


def against_uniform(p: Array, known: int) -> tuple[float, float]:
    """Return the Kolmogorov-Smirnov statistic of p-values against the uniform distribution, and its asymptotic p-value.

    The p-values were measured by so many ``known`` scores, which are a sample, too: the p-value is that of two samples.
    """
    n = len(p)
    ordered = np.sort(p)
    statistic = float(np.maximum(np.arange(1, n + 1) / n - ordered, ordered - np.arange(n) / n).max())
    return statistic, float(kstwobign.sf(statistic * np.sqrt(n * known / (n + known))))
