"""Training rows drawn again: what perfect fidelity without any new row looks like."""

from __future__ import annotations

import numpy as np

from engram.evaluation.baselines.baseline import Array
from engram.evaluation.baselines.sampler import Redrawn


class Bootstrap(Redrawn):
    """Rows are training rows, drawn with replacement (Efron, Bootstrap Methods, 1979).

    Its distances are as small as any generator's can be; that every row is a copy, only memorisation and exact copies show.
    """

    name = "bootstrap"

    def chosen(self, n: int, rng: np.random.Generator) -> Array:
        found: Array = self.rows[rng.integers(0, len(self.rows), n)]
        return found
