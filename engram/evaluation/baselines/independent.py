"""Columns (or pixels) drawn one by one: every single column is right, and no two belong together."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from engram.evaluation.baselines.baseline import Array
from engram.evaluation.baselines.sampler import Sampler
from engram.training.session import seed_from


class Independent(Sampler):
    """Each value of a row is that of another training row, drawn for each column on its own.

    A generator that is no better has learned how columns are distributed, but not how they depend on each other.
    """

    name = "independent"

    def fit(self, x: Array, *, random_state: int = 0) -> Self:
        self.rows = np.asarray(x, dtype=np.float32)
        return self

    def sample(self, n: int, random_state: Any = 0) -> Array:
        rng = np.random.default_rng(seed_from(random_state))
        which = rng.integers(0, len(self.rows), (n, self.rows.shape[1]))
        found: Array = np.take_along_axis(self.rows, which, axis=0)
        return found
