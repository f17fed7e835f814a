"""Agreement: whether a judge sees in a generated row what was asked for."""

from __future__ import annotations

import numpy as np

from engram.errors import DataError
from engram.metrics.metric import Array
from engram.metrics.rows import row_scalars
from engram.registry import METRICS


@METRICS.register("agreement", better="higher", unit="share of rows")
def agreement(asked: Array, judged: Array) -> float:
    """Agreement: the share of generated rows whose label, as a judge sees it, is the one that was asked for.

    Direction: higher is better; 1 is the most, chance is 1 / classes, and the judge's accuracy on real rows is about what a perfect
    generator gets. Unit: a share of the rows. Source: Shmelkov, Schmid & Alahari, How good is my GAN?, ECCV 2018: GAN-test, with a
    judge trained on real rows, which sees quality and not diversity. GAN-train is the other way round: a judge trained on generated
    rows whose labels for held-out real rows are compared with the true ones by this same function, which sees diversity too. The
    judge of GAN-test must not have the generator's training rows alone to learn from, or it rewards memory.

    Parameters
    ----------
    asked : array
        The label that each row was generated for (GAN-train: that it truly has), (rows,).
    judged : array
        The label that the judge gives it, (rows,).

    Raises
    ------
    DataError
        Arrays that are not one label per row, or of different rows.
    """
    wanted, seen = row_scalars("asked", asked), row_scalars("judged", judged)
    if len(wanted) != len(seen):
        raise DataError(f"asked and judged must be labels of the same rows, these are {len(wanted)} and {len(seen)}.")
    if (wanted.dtype.kind in "iufb") != (seen.dtype.kind in "iufb"):
        raise DataError(f"asked and judged must be labels of one sort, these are {wanted.dtype} and {seen.dtype}.")
    return float(np.mean(wanted == seen))
