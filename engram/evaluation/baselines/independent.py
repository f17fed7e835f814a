"""Columns (or pixels) drawn one by one: every single column is right, and no two belong together."""

from __future__ import annotations

import numpy as np

from engram.evaluation.baselines.baseline import Array
from engram.evaluation.baselines.sampler import Redrawn


class Independent(Redrawn):
    """Each value of a row is that of another training row, drawn for each column on its own.

    A generator that is no better has learned how columns are distributed, but not how they depend on each other.
    """

    name = "independent"

    def chosen(self, n: int, rng: np.random.Generator) -> Array:
        which = rng.integers(0, len(self.rows), (n, self.rows.shape[1]))
        found: Array = np.take_along_axis(self.rows, which, axis=0)
        return found
