"""Precision, recall, density and coverage: whether generated rows lie among the real ones, and real ones among them.

Balls about the rows of one set, out to the k-th nearest other row of the same set, stand for where that set lies. Two published
conventions differ in small things that move the values, so both are kept as published: precision and recall have k = 3 and count a
row on the edge of a ball as inside (<=), density and coverage have k = 5 and do not (<). All values depend on k, the features and
both numbers of rows; real rows against other real rows do not reach 1 either.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engram.errors import UsageError
from engram.metrics.metric import Array
from engram.metrics.neighbours import Points, blocks, kth_nearest
from engram.metrics.rows import feature_rows
from engram.registry import METRICS


@dataclass(frozen=True)
class Manifold:
    """Precision, recall, density and coverage of the same rows; see the functions of these names."""

    precision: float
    recall: float
    density: float
    coverage: float


def manifold(
    real: Array, generated: Array, k_precision: int = 3, k_coverage: int = 5, *, block: int | None = None
) -> Manifold:
    """Return precision, recall, density and coverage at the cost of three passes over pairs of rows.

    Memory is that of both arrays in float64 and a few blocks of distances; never all distances of a set.

    Parameters
    ----------
    real, generated : array
        Features, (rows, ...), more rows than either k.
    k_precision : int
        Neighbours that reach the edge of a ball for precision and recall, at least 1.
    k_coverage : int
        The same for density and coverage.
    block : int, optional
        Rows whose distances are computed at a time; no value depends on it.

    Raises
    ------
    UsageError
        A k below 1.
    DataError
        Arrays of other shapes, too few rows, different widths, values that are not finite.
    """
    x, y = _points(real, generated, k_precision, k_coverage)
    narrow, wide = _radii(x, (k_precision, k_coverage), block)
    own = kth_nearest(y, y, k_precision, block=block)
    precise = np.zeros(len(y), dtype=bool)
    recalled, covered = np.zeros((2, len(x)), dtype=bool)
    inside = 0
    for one in blocks(x, y, block=block):
        precise |= one.below(narrow[one.place, None], strict=False).any(0)
        recalled[one.place] = one.below(own, strict=False).any(1)
        balls = one.below(wide[one.place, None], strict=True)
        covered[one.place] = balls.any(1)
        inside += int(balls.sum())
    return Manifold(
        float(precise.mean()), float(recalled.mean()), inside / (k_coverage * len(y)), float(covered.mean())
    )


@METRICS.register("precision", better="higher", unit="share of generated rows")
def precision(real: Array, generated: Array, k: int = 3) -> float:
    """Precision: the share of generated rows within the ball of some real row, out to its k-th nearest other real row.

    Direction: higher is better; 1 is the most, though fresh real rows get less. It says nothing of what is missing: a generator
    that repeats one real row has precision 1. Unit: a share of the generated rows. Source: Kynkäänniemi et al., Improved precision
    and recall metric for assessing generative models, NeurIPS 2019, equations 1 and 2: k = 3, an edge counts as inside.

    Parameters
    ----------
    real, generated : array
        Features, (rows, ...), more than k rows each.
    k : int
        Neighbours that reach the edge of a ball, at least 1.
    """
    x, y = _points(real, generated, k)
    return _share_inside(x, y, k)


@METRICS.register("recall", better="higher", unit="share of real rows")
def recall(real: Array, generated: Array, k: int = 3) -> float:
    """Recall: the share of real rows within the ball of some generated row, out to its k-th nearest other generated row.

    Direction: higher is better; 1 is the most, though fresh real rows get less. A generator that collapsed to one place has recall
    0; one that scatters has large balls, hence a high recall. Unit: a share of the real rows. Source: Kynkäänniemi et al.,
    Improved precision and recall metric for assessing generative models, NeurIPS 2019, equations 1 and 2: k = 3, an edge counts
    as inside.

    Parameters
    ----------
    real, generated : array
        Features, (rows, ...), more than k rows each.
    k : int
        Neighbours that reach the edge of a ball, at least 1.
    """
    x, y = _points(real, generated, k)
    return _share_inside(y, x, k)


@METRICS.register("density", better="higher", unit="balls per expected ball")
def density(real: Array, generated: Array, k: int = 5) -> float:
    """Density: in how many real rows' balls a generated row lies, over k: about 1 for fresh real rows, more where it plays safe.

    Direction: higher is better, up to about 1, the mean for rows of the same distribution. It has no upper end: a generator that
    keeps to the densest place has more. Unit: balls, over the k that are expected. Source: Naeem et al., Reliable fidelity and
    diversity metrics for generative models, ICML 2020, equation 4: k = 5, an edge does not count as inside.

    Parameters
    ----------
    real, generated : array
        Features, (rows, ...), more than k rows each.
    k : int
        Neighbours that reach the edge of a ball, at least 1.
    """
    x, y = _points(real, generated, k)
    radii = kth_nearest(x, x, k)
    inside = sum(int(one.below(radii[one.place, None], strict=True).sum()) for one in blocks(x, y))
    return inside / (k * len(y))


@METRICS.register("coverage", better="higher", unit="share of real rows")
def coverage(real: Array, generated: Array, k: int = 5) -> float:
    """Coverage: the share of real rows whose ball, out to the k-th nearest other real row, has a generated row in it.

    Direction: higher is better; `expected_coverage` is what fresh real rows get. A generator that collapsed has a coverage near 0.
    Unit: a share of the real rows. Source: Naeem et al., Reliable fidelity and diversity metrics for generative models, ICML
    2020, equation 5: k = 5, an edge does not count as inside.

    Parameters
    ----------
    real, generated : array
        Features, (rows, ...), more than k rows each.
    k : int
        Neighbours that reach the edge of a ball, at least 1.
    """
    x, y = _points(real, generated, k)
    radii = kth_nearest(x, x, k)
    found = [one.below(radii[one.place, None], strict=True).any(1) for one in blocks(x, y)]
    return float(np.concatenate(found).mean())


def expected_coverage(n_real: int, n_generated: int, k: int = 5) -> float:
    """Return the mean coverage of generated rows that come from the real rows' own continuous distribution.

    All orders of the other real rows and the generated rows by distance are equally likely, so that the k nearest are all real
    with probability prod over i < k of (N - 1 - i) / (N + M - 1 - i) for N real and M generated rows (Naeem et al. 2020, appendix).

    Raises
    ------
    UsageError
        Numbers that are no numbers of rows, or k not in 1 to n_real - 1.
    """
    if not (1 <= k < n_real and n_generated >= 1):
        raise UsageError(
            f"coverage needs 1 <= k < the number of real rows, and generated rows; given were k = {k}, {n_real} real and "
            f"{n_generated} generated rows."
        )
    i = np.arange(k)
    return float(1 - np.prod((n_real - 1 - i) / (n_real + n_generated - 1 - i)))


def _points(real: Array, generated: Array, *ks: int) -> tuple[Points, Points]:
    """Return checked points about the mean of the real rows: near the origin, products of rows lose the fewest digits."""
    if min(ks) < 1:
        raise UsageError(f"k counts neighbours and must be at least 1, not {min(ks)}.")
    x, y = feature_rows(max(ks) + 1, real=real, generated=generated)
    centre = x.mean(0, dtype=np.float64)
    return Points.of(x, centre), Points.of(y, centre)


def _radii(points: Points, ks: tuple[int, int], block: int | None) -> tuple[Array, Array]:
    """Return the squared distances to two neighbours, by their numbers, in one pass."""
    found = [[one.smallest(k) for k in ks] for one in blocks(points, points, block=block)]
    first, second = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return first, second


def _share_inside(balls: Points, rows: Points, k: int) -> float:
    """Return the share of rows that lie in the ball of some other point, its edge included."""
    radii = kth_nearest(balls, balls, k)
    found = np.zeros(len(rows), dtype=bool)
    for one in blocks(balls, rows):
        found |= one.below(radii[one.place, None], strict=False).any(0)
    return float(found.mean())
