"""What a baseline is: fitted to encoded rows as a 2-D array, it answers what it can and None to the rest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


class Baseline(ABC):
    """A simple method on encoded rows: (rows, values) floats, pictures flattened, missing cells zero (the mean).

    ``mask`` says where a cell was observed, (rows, values) bool; None: everywhere. All results are in encoded units.
    """

    sized: ClassVar[bool] = False  # whether it depends on the code size of the model beside it

    @classmethod
    def gives(cls) -> set[str]:
        """Return what it answers, by the names that metrics use."""
        has_density = cls.log_likelihood is not Baseline.log_likelihood
        found = {
            "reconstruction": cls.reconstruct is not Baseline.reconstruct,
            "log_prob": has_density,
            "scores": has_density or cls.score_samples is not Baseline.score_samples,
        }
        return {name for name, known in found.items() if known}

    @abstractmethod
    def fit(self, x: Array, mask: Array | None = None, *, code_size: int = 1, random_state: int = 0) -> Self:
        """Learn from rows; ``code_size`` is that of the model to stand beside."""

    def reconstruct(self, x: Array, mask: Array | None = None) -> Array | None:
        """Return rows as the method gives them back, (rows, values)."""
        return None

    def log_likelihood(self, x: Array, mask: Array | None = None) -> Array | None:
        """Return log p of the observed cells per row, (rows,), in nats of encoded units."""
        return None

    def score_samples(self, x: Array, mask: Array | None = None) -> Array | None:
        """Return a score per row, (rows,), higher = more normal: the log-likelihood where there is one."""
        return self.log_likelihood(x, mask)
