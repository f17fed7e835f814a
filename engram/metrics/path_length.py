"""Perceptual path length: how far a generated picture moves in feature space when its noise moves a little."""

from __future__ import annotations

import numpy as np

from engram.errors import DataError, UsageError
from engram.metrics.metric import Array
from engram.metrics.rows import feature_rows
from engram.registry import METRICS


@METRICS.register("path-length", better="lower", unit="squared feature units per squared step")
def path_length(start: Array, end: Array, epsilon: float = 1e-2) -> float:
    """Path length: mean of |features at t + epsilon - features at t|^2 / epsilon^2, without the lowest and highest percent.

    Direction: lower is better: the generator moves smoothly; 0 is one that ignores its noise, so read it beside recall. Pictures
    must stay in floating point between generator and features: rounding to 8 bits alone gives .1 / epsilon^2 and more. Unit:
    squared feature units per squared step of the noise. Source: Karras, Laine & Aila, A style-based generator architecture for
    generative adversarial networks, CVPR 2019, section 4.1, and the trimming of its code.

    Parameters
    ----------
    start, end : array
        Features of the pictures at t and at t + epsilon of the same paths, (rows, ...), of one shape.
    epsilon : float
        The step, above 0.

    Raises
    ------
    DataError
        Arrays of different shapes, no rows, values that are not finite.
    UsageError
        A step that is not above 0.
    """
    if not epsilon > 0:
        raise UsageError(f"epsilon is the step along a path and must be above 0, not {epsilon}.")
    a, b = feature_rows(1, start=start, end=end)
    if len(a) != len(b):
        raise DataError(f"start and end must be rows of the same paths, these are {len(a)} and {len(b)} rows.")
    lengths = np.square(b.astype(np.float64) - a).sum(1) / epsilon**2
    low, high = np.percentile(lengths, 1, method="lower"), np.percentile(lengths, 99, method="higher")
    return float(lengths[(lengths >= low) & (lengths <= high)].mean())
