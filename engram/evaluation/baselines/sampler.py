"""What a simple generator is: fitted to encoded rows as a 2-D array, it draws new ones, to stand beside generative models."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np

from engram.evaluation.baselines.baseline import Array
from engram.training.session import seed_from


class Sampler(ABC):
    """A simple generator of encoded rows: (rows, values) floats, pictures flattened, missing cells zero (the mean)."""

    name: str

    @abstractmethod
    def fit(self, x: Array, *, random_state: int = 0) -> Self:
        """Learn from rows, (rows, values)."""

    @abstractmethod
    def sample(self, n: int, random_state: Any = 0) -> Array:
        """Draw n rows, (n, values) float32; the same seed gives the same rows."""


class Redrawn(Sampler):
    """Every value of a row is that of a training row in the same column; which rows these are, `chosen` says."""

    def fit(self, x: Array, *, random_state: int = 0) -> Self:
        self.rows = np.asarray(x, dtype=np.float32)
        return self

    def sample(self, n: int, random_state: Any = 0) -> Array:
        return self.chosen(n, np.random.default_rng(seed_from(random_state)))

    @abstractmethod
    def chosen(self, n: int, rng: np.random.Generator) -> Array:
        """Return n rows of training rows' values."""
