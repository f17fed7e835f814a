"""What a simple recommender is: learned from histories, (users, items), it scores all items for any history."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
from scipy import sparse

Array = np.ndarray[Any, np.dtype[Any]]


class SimpleRecommender(ABC):
    """A simple method on histories; only whether a user had an item counts."""

    name: ClassVar[str]

    @abstractmethod
    def fit(self, matrix: Any, *, random_state: int = 0) -> Self:
        """Learn from histories, (users, items) sparse."""

    @abstractmethod
    def scores(self, matrix: Any) -> Array:
        """Return a score per item for each history, (rows, items): higher = recommended earlier."""


def ones(matrix: Any) -> Any:
    """Return which items users had, (users, items) float64 of ones."""
    found = sparse.csr_array(matrix, dtype=np.float64, copy=True)
    found.eliminate_zeros()
    found.data[:] = 1.0
    return found
