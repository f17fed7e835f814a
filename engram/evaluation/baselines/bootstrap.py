"""Training rows drawn again: what perfect fidelity without any new row looks like."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from engram.evaluation.baselines.baseline import Array
from engram.evaluation.baselines.sampler import Sampler
from engram.training.session import seed_from


class Bootstrap(Sampler):
    """Rows are training rows, drawn with replacement (Efron, Bootstrap Methods, 1979).

    Its distances are as small as any generator's can be; that every row is a copy, only memorisation and exact copies show.
    """

    name = "bootstrap"

    def fit(self, x: Array, *, random_state: int = 0) -> Self:
        self.rows = np.asarray(x, dtype=np.float32)
        return self

    def sample(self, n: int, random_state: Any = 0) -> Array:
        rng = np.random.default_rng(seed_from(random_state))
        found: Array = self.rows[rng.integers(0, len(self.rows), n)]
        return found
