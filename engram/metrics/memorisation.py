"""Memorisation: whether generated rows are nearer to the training rows than other real rows are."""

from __future__ import annotations

import numpy as np

from engram.metrics.metric import Array
from engram.metrics.neighbours import Points, kth_nearest
from engram.metrics.rows import feature_rows
from engram.registry import METRICS


@METRICS.register("memorisation", better="nearer to .5", unit="probability")
def memorisation(generated: Array, training: Array, real: Array) -> float:
    """Memorisation: how often a generated row is nearer to its nearest training row than a held-out real row; a tie counts half.

    Direction: nearer to .5 is better, which is what fresh rows of the same distribution get on average, whatever it is; 1
    means copies. Below 0.5 generated rows keep further away from the training rows than real ones do, which is a matter of
    quality, not of memory. Unit: a probability. Source: Meehan, Chaudhuri & Dasgupta, A non-parametric test to detect data-copying
    in generative models, AISTATS 2020: the Mann-Whitney statistic of the distances, in one cell; it is 1 - their Delta.

    Parameters
    ----------
    generated : array
        Features of generated rows, (rows, ...).
    training : array
        Features of the rows that the model was trained on, (rows, ...).
    real : array
        Features of real rows that it has not seen, (rows, ...).

    Raises
    ------
    DataError
        Arrays of other shapes, no rows, different widths, values that are not finite.
    """
    g, t, r = feature_rows(1, generated=generated, training=training, real=real)
    centre = t.mean(0, dtype=np.float64)
    seen = Points.of(t, centre)
    of_generated, of_real = (kth_nearest(Points.of(rows, centre), seen, 1) for rows in (g, r))
    of_real.sort()
    below, upto = (np.searchsorted(of_real, of_generated, side=side) for side in ("left", "right"))
    return float(1 - (below + upto).mean() / (2 * len(of_real)))


def exact_copies(generated: Array, training: Array) -> float:
    """Return the share of generated rows that equal a training row in every value, 0 to 1.

    Rows of different precision are compared in the lower one: a float32 generator cannot repeat a float64 row to the last bit.

    Parameters
    ----------
    generated, training : array
        Rows or features, (rows, ...).

    Raises
    ------
    DataError
        Arrays of other shapes, no rows, different widths, values that are not finite.
    """
    g, t = feature_rows(1, generated=generated, training=training)
    dtype = np.float32 if np.float32 in (g.dtype, t.dtype) else np.float64
    known = {row.tobytes() for row in t.astype(dtype) + 0}  # + 0: one zero, not two
    return float(np.mean([row.tobytes() in known for row in g.astype(dtype) + 0]))
