"""How far a metric would move with other rows: the bootstrap (Efron, 1979), for every metric in the same way.

With many rows or wide ones, fewer rows than there are go into a draw, and the deviations are scaled by the square root
of the share (the m out of n bootstrap; Bickel, Götze & van Zwet, 1997).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engram.metrics.metric import Array, Metric

DRAWS = 100
VALUES = 1 << 18  # in the arrays of one draw: what keeps all draws together under a second
FEWEST = 50  # rows in a draw, however wide they are


def deviations(metric: Metric, arrays: Mapping[str, Array], *, draws: int = DRAWS, random_state: int = 0) -> Array:
    """Return how far a metric lies from its mean in each of ``draws`` draws of rows with replacement, (draws,).

    The same seed draws the same rows, so that the deviations of two models on the same rows are paired: the standard
    deviation of their difference is the standard error of the difference of the two values. NaN where a draw does not
    define the metric (only normal rows, say).
    """
    inputs = metric.inputs(arrays)
    n = len(next(iter(inputs.values())))
    if n < 2:
        return np.full(draws, np.nan)
    width = sum(array[:1].size for array in inputs.values())
    m = min(n, max(FEWEST, VALUES // max(width, 1)))
    generator = np.random.default_rng(random_state)
    rows = (generator.integers(n, size=m) for _ in range(draws))
    values = np.array([metric.value({name: array[index] for name, array in inputs.items()}) for index in rows])
    defined = np.isfinite(values)
    if defined.sum() < 2:
        return np.full(draws, np.nan)
    spread: Array = np.where(defined, values - values[defined].mean(), np.nan) * np.sqrt(m / n)
    return spread


def standard_error(deviations: Array) -> float:
    """Return the standard error that bootstrap deviations, or the difference of two models' deviations, amount to."""
    defined = deviations[np.isfinite(deviations)]
    return float(defined.std(ddof=1)) if len(defined) > 1 else float("nan")
