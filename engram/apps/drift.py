"""Whether new rows come from where the known ones came: each column by itself, and the score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import chi2, kstwobign

Array = np.ndarray[Any, np.dtype[Any]]
TIED = 1e-6  # scores that differ by less, of their size, are the same


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
    before = np.rint(shares * known)  # less than half a row is what stands for none, or is kept off one
    if not n or not before.any():
        return 0.0, 1.0
    known, shares = before.sum(), before / before.sum()
    pooled = (before + counts) / (known + n)
    used = pooled > 0
    statistic = sum(
        float((((found - total * pooled) ** 2)[used] / (total * pooled)[used]).sum())
        for found, total in ((before, known), (counts, n))
    )
    distance = 0.5 * float(np.abs(shares - counts / n).sum())
    return distance, float(chi2.sf(statistic, max(int(used.sum()) - 1, 1)))


def against_held(held: Sequence[Array], scores: Array, known: int) -> tuple[float, float]:
    """Return the Kolmogorov-Smirnov statistic of scores (members, rows) against the members' held-out ones, and its asymptotic p-value.

    A score takes up the ranks of the held-out scores that it ties with, evenly, so that tables of few distinct rows are no surprise.
    ``held`` are in order, of ``known`` rows; rows that members do not rank alike are between their ranks, which errs on the safe side.
    """
    starts, ends = [], []
    for own, new in zip(held, scores, strict=True):
        near = TIED * np.maximum(1.0, np.abs(new))
        starts.append(np.searchsorted(own, new - near) / (len(own) + 1))
        ends.append((np.searchsorted(own, new + near, side="right") + 1) / (len(own) + 1))
    first, last = np.concatenate(starts), np.concatenate(ends)
    places, slopes = np.concatenate([first, last]), np.concatenate([1 / (last - first), -1 / (last - first)])
    order = places.argsort(kind="stable")
    places, density = places[order], slopes[order].cumsum() / len(first)
    found = np.append(0.0, (density[:-1] * np.diff(places)).cumsum())
    statistic, n = float(np.abs(found - places).max()), scores.shape[1]
    return statistic, float(kstwobign.sf(statistic * np.sqrt(n * known / (n + known))))
