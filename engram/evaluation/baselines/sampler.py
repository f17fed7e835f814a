"""What a simple generator is: fitted to encoded rows as a 2-D array, it draws new ones, to stand beside generative models."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

from engram.evaluation.baselines.baseline import Array


class Sampler(ABC):
    """A simple generator of encoded rows: (rows, values) floats, pictures flattened, missing cells zero (the mean)."""

    name: str

    @abstractmethod
    def fit(self, x: Array, *, random_state: int = 0) -> Self:
        """Learn from rows, (rows, values)."""

    @abstractmethod
    def sample(self, n: int, random_state: Any = 0) -> Array:
        """Draw n rows, (n, values) float32; the same seed gives the same rows."""
